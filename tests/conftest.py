"""Fixtures: a real Valkey, and whole clusters in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from shared.ledger import Ledger
from tests.cluster import Cluster, Valkey, cluster
from tests.databases import empty_database, postgres

# Its own deadline is one on the clock, which a busy machine misses.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"), append_only=False).start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator["redis.Redis"]:
    """A client of an empty Valkey."""
    valkey_server.client.flushall()
    yield valkey_server.client


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of PostgreSQL's."""
    with empty_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'folder' / 'crofai.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An empty ledger, in a database of either kind."""
    ledger = Ledger(database_url)
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Where weights are unpacked: the same folder `make up` uses, so that it is done once."""
    return Path(__file__).parent.parent / "data"


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A gateway with simulated workers: `fast` and `slow` chat, and `pictures`. `slow` says more than a test waits
    for, unless it is told to stop."""
    models = {
        "fast": simulated_model(tokens_per_second=500),
        "slow": simulated_model(tokens_per_second=20, capacity=2, length=1000),
        "pictures": simulated_model(kind="image", tokens_per_second=100),
        "idle": simulated_model(),
    }
    with cluster(tmp_path_factory.mktemp("simulated"), models, queue_bound=3) as running:
        running.start_gateway()
        for name in ("fast", "slow", "pictures"):
            running.start_worker(name)
        yield running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A gateway behind one trusted proxy, for pages of one origin, and workers. All log as much as they can."""
    models = {
        "fast": simulated_model(tokens_per_second=500),
        "slow": simulated_model(tokens_per_second=20, length=1000),
    }
    settings = {"log_level": "DEBUG", "trusted_proxies": 1, "cors_origins": "https://app.example"}
    with cluster(tmp_path_factory.mktemp("guarded"), models, **settings) as running:
        running.start_gateway()
        for name in models:
            running.start_worker(name)
        yield running


def simulated_model(kind: str = "chat", **engine_args: object) -> dict[str, object]:
    """A catalogue entry for the simulated engine."""
    return {
        "kind": kind,
        "engine": "simulated",
        "weights": "none",
        "description": "a test",
        "context": 4096,
        "max_tokens": 4000,
        "engine_args": engine_args,
    }
