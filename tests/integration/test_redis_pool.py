"""The gateway's pool of connections to Redis, in a process of its own, as gevent changes the whole of it."""

import subprocess
import sys

import pytest

from tests.cluster import ROOT, Valkey

pytestmark = pytest.mark.integration

HEAD = """
import gevent.monkey; gevent.monkey.patch_all()
import sys, gevent, gevent.socket, redis
from gateway import redis_pool
client = redis_pool.connect(sys.argv[1])
pool = client.connection_pool
client.flushall()
client.set("a", "1")
"""


def run(server: Valkey, code: str) -> None:
    command = [sys.executable, "-c", HEAD + code, f"redis://127.0.0.1:{server.port}/0"]
    subprocess.run(command, check=True, timeout=30, cwd=ROOT)


def test_greenlets_share_few_connections(valkey_server: Valkey) -> None:
    run(
        valkey_server,
        """
greenlets = [gevent.spawn(client.incr, "n") for _ in range(200)]
gevent.joinall(greenlets, raise_error=True)
assert client.get("n") == b"200"
assert len(pool._connections) <= redis_pool.CONNECTIONS
with client.pipeline() as pipe:
    assert pipe.get("a").get("n").execute() == [b"1", b"200"]
""",
    )


def test_who_finds_none_in_time_is_told_so(valkey_server: Valkey) -> None:
    run(
        valkey_server,
        """
pool.timeout = 0.05
taken = [pool.get_connection() for _ in range(redis_pool.CONNECTIONS)]
try:
    client.get("a")
except redis.ConnectionError as error:
    assert "in use" in str(error), error
else:
    raise AssertionError("there was one more")
for connection in taken:
    pool.release(connection)
assert client.get("a") == b"1"
""",
    )


def test_a_connection_with_answers_that_nobody_read_is_made_again(valkey_server: Valkey) -> None:
    run(
        valkey_server,
        """
def left(read):
    connection = pool.get_connection()
    connection.send_packed_command(connection.pack_command("ECHO", "x") + connection.pack_command("ECHO", "y"))
    gevent.socket.wait_read(connection._sock.fileno(), timeout=10)
    if read:
        assert connection.read_response() == b"x"  # the other is in the parser now
    pool.release(connection)

for read in (False, True):
    left(read)
    assert client.get("a") == b"1"
""",
    )


def test_a_greenlet_that_is_killed_in_mid_command_spoils_nothing(valkey_server: Valkey) -> None:
    run(
        valkey_server,
        """
for _ in range(20):
    asking = gevent.spawn(client.blpop, "nothing", 1)
    gevent.sleep(0.01)
    asking.kill()
    assert client.get("a") == b"1"
""",
    )


def test_a_server_that_was_started_again_is_asked_once_more(valkey_server: Valkey) -> None:
    run(
        valkey_server,
        """
for connection in list(pool._connections):
    client.client_kill_filter(_type="normal", skipme=True)
assert [client.get("a") for _ in range(3)] == [b"1"] * 3
other = redis.Redis(port=pool.connection_kwargs["port"])
other.client_kill_filter(_type="normal", skipme=True)
assert client.get("a") == b"1"
""",
    )
