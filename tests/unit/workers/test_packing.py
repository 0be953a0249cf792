"""Commands are the same bytes as redis-py's own."""

from typing import Any

import pytest
import redis
import redis.asyncio

from workers import packing

COMMANDS: list[tuple[Any, ...]] = [
    ("GET", "a"),
    ("SET", "ä", b"\x00\r\n", "EX", 5),
    ("ZADD", "z", 1.5, "m", 1795896274.858492, b"n"),
    ("CLIENT SETINFO", "LIB-NAME", "redis-py"),
    (b"EVALSHA", "f" * 40, 0, *map(str, range(1000))),
]


def connection() -> Any:
    client = redis.asyncio.Redis()
    packing.speed_up(client)
    return client.connection_pool.make_connection()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_a_command_is_packed_as_redis_has_it(command: tuple[Any, ...]) -> None:
    ours = b"".join(connection().pack_command(*command))
    assert ours == b"".join(redis.asyncio.Connection().pack_command(*command))


def test_so_are_many() -> None:
    ours = b"".join(connection().pack_commands(COMMANDS))
    assert ours == b"".join(redis.asyncio.Connection().pack_commands(COMMANDS))


def test_tls_stays_tls() -> None:
    client = redis.asyncio.Redis.from_url("rediss://localhost:6379")
    packing.speed_up(client)
    assert isinstance(client.connection_pool.make_connection(), redis.asyncio.SSLConnection)
