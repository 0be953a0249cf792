"""Fixtures: a real Valkey, and whole clusters in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.cluster import Valkey


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
def models_folder() -> Path:
    """Where weights are unpacked: the same folder `make up` uses, so that it is done once."""
    return Path(__file__).parent.parent / "data"
