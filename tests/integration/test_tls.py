"""Redis and PostgreSQL over TLS and with passwords: a whole cluster, and what is not trusted."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio
import requests
from kombu.exceptions import OperationalError

from gateway.cli import valkey as bundled
from shared.accounts import Accounts
from shared.errors import SetupError
from shared.queues import make_celery
from shared.settings import Settings
from shared.sql import Database
from tests import databases
from tests.cluster import Cluster, Valkey, cluster, wait_for
from tests.conftest import simulated_model
from tests.tls import HOST, Certificates, make_certificates, tls_in_front

pytestmark = pytest.mark.integration

PASSWORD = "hush-hush"
CHAT = {"model": "fast", "messages": [{"role": "user", "content": "echo over and out"}]}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Cluster]:
    """A cluster whose Redis is reached by TLS, as a user who has a password and may not manage the server."""
    with cluster(tmp_path_factory.mktemp("secured"), {"fast": simulated_model()}) as running:
        demand_password(running.valkey)
        rights = ("reset", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-@admin")
        running.valkey.client.execute_command("ACL", "SETUSER", "crofai", *rights)
        with tls_in_front(running.valkey.port, certificates) as port:
            address = f"{HOST}:{port}/0?ssl_ca_certs={certificates.authority}"
            running.env["CROFAI_REDIS_URL"] = f"rediss://crofai:{PASSWORD}@{address}"
            running.start_gateway()
            running.start_worker("fast")
            yield running


def demand_password(server: Valkey) -> None:
    server.client.config_set("requirepass", PASSWORD)
    server.client.connection_pool.connection_kwargs["password"] = PASSWORD


@pytest.mark.parametrize("stream", [True, False])
def test_a_cluster_answers(secured: Cluster, stream: bool) -> None:
    headers = {"X-API-Key": secured.key()}
    response = requests.post(
        f"{secured.url}/v1/chat/completions", json=CHAT | {"stream": stream}, headers=headers, timeout=30
    )
    assert response.status_code == 200
    assert "over" in response.text and "out" in response.text
    wait_for(lambda: secured.valkey.client.hlen("lease:fast") == 0, 10, "the message to be acknowledged")
    logs = [process.log.read_text(errors="replace") for process in secured.processes]
    assert not any(PASSWORD in log or "Traceback" in log for log in logs)


def plainly(url: str) -> None:
    with bundled.connect(url) as client:
        client.ping()


def in_the_workers_loop(url: str) -> None:
    async def ping() -> None:
        try:
            async with redis.asyncio.Redis.from_url(url, socket_connect_timeout=5) as client:
                await client.ping()
        finally:
            await asyncio.sleep(0.3)  # until the connection that was refused is closed

    asyncio.run(ping())


def by_celery(url: str) -> None:
    with make_celery(Settings(redis_url=url)).connection() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        connection.default_channel.client.ping()


@pytest.fixture(params=[plainly, in_the_workers_loop, by_celery], ids=lambda call: call.__name__)
def connect(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Each client that we have."""
    call: Callable[[str], None] = request.param
    return call


@pytest.fixture
def port(valkey_server: Valkey, certificates: Certificates) -> Iterator[int]:
    with tls_in_front(valkey_server.port, certificates) as port:
        yield port


def test_a_server_is_known_by_its_authority(
    connect: Callable[[str], None], port: int, certificates: Certificates
) -> None:
    connect(f"rediss://{HOST}:{port}/0?ssl_ca_certs={certificates.authority}")


@pytest.mark.parametrize(
    ("host", "query"),
    [
        (HOST, ""),
        (HOST, "?ssl_cert_reqs=required"),
        ("127.0.0.1", "?ssl_ca_certs={authority}"),
        ("127.0.0.1", "?ssl_ca_certs={authority}&ssl_cert_reqs=required"),
    ],
)
def test_one_that_is_not_is_not_spoken_to(
    connect: Callable[[str], None], port: int, certificates: Certificates, host: str, query: str
) -> None:
    """No authority of this machine knows it, or its certificate is for another name."""
    query = query.format(authority=certificates.authority)
    with pytest.raises((redis.ConnectionError, OperationalError)) as refused:
        connect(f"rediss://:{PASSWORD}@{host}:{port}/0{query}")
    assert "certificate verify failed" in str(refused.value).lower()
    assert PASSWORD not in str(refused.value)


def test_no_password_goes_to_whoever_speaks_no_tls(connect: Callable[[str], None], valkey_server: Valkey) -> None:
    with pytest.raises((redis.RedisError, OperationalError, ssl.SSLError)):
        connect(f"rediss://:{PASSWORD}@{HOST}:{valkey_server.port}/0")


def test_a_wrong_password_is_not_told(tmp_path: Path) -> None:
    server = Valkey(tmp_path, append_only=False).start()
    try:
        demand_password(server)
        with pytest.raises(SetupError) as refused:
            bundled.demand(bundled.connect(f"redis://:wrong-{PASSWORD}@127.0.0.1:{server.port}/0"))
    finally:
        server.client.close()
        server.stop()
    assert "CROFAI_REDIS_URL" in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """The port of a PostgreSQL server that takes TLS and a password, and nothing else."""
    with databases.secured_postgres(certificates, PASSWORD) as port:
        yield str(port)


def test_accounts_are_kept_over_tls(postgres: str, certificates: Certificates) -> None:
    query = f"sslmode=verify-full&sslrootcert={certificates.authority}"
    accounts = Accounts(f"postgresql://postgres:{PASSWORD}@{HOST}:{postgres}/postgres?{query}")
    accounts.migrate()
    assert accounts.find(accounts.create_key("ann", "free").secret)
    accounts.close()


@pytest.mark.parametrize(
    ("who", "query", "words"),
    [
        (f"{PASSWORD}@127.0.0.1", "?sslmode=verify-full&sslrootcert={authority}", "does not match host name"),
        (f"{PASSWORD}@{HOST}", "?sslmode=verify-full&sslrootcert={key}", "certificate"),
        (f"{PASSWORD}@{HOST}", "?sslmode=disable", "no encryption"),
        (f"wrong-{PASSWORD}@{HOST}", "", "password authentication failed"),
    ],
)
def test_no_other_database_is(postgres: str, certificates: Certificates, who: str, query: str, words: str) -> None:
    query = query.format(authority=certificates.authority, key=certificates.server)
    with pytest.raises(SetupError, match=words) as refused:
        Database(f"postgresql://postgres:{who}:{postgres}/postgres{query}").migrate()
    assert PASSWORD not in str(refused.value)
