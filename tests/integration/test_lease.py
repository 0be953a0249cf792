"""Leases of messages, on a real Redis: noted together, extended on the beat, given back."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
import redis.asyncio

from shared import redis_keys as keys
from tests.cluster import Valkey
from workers.lease import Lease

pytestmark = pytest.mark.integration

SECONDS = 0.4  # a lease, whose beat is a quarter of it
INDEX, MESSAGES = keys.lease_index("m"), keys.lease("m")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("lease"), append_only=False).start()
    yield server
    server.client.close()
    server.stop()


@pytest.fixture(autouse=True)
def empty(valkey: Valkey) -> None:
    valkey.client.flushall()


def play(valkey: Valkey, scenario: Callable[[Lease], Awaitable[None]]) -> None:
    async def run() -> None:
        client = redis.asyncio.Redis(port=valkey.port)
        lease = Lease(client, "m", SECONDS)
        keeping = asyncio.create_task(lease.keep())
        async with asyncio.timeout(40):
            await scenario(lease)
        keeping.cancel()
        await client.aclose()

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_message_is_noted_and_given_back(valkey: Valkey) -> None:
    async def scenario(lease: Lease) -> None:
        for tag in ("a", "b"):
            lease.adopt(tag, b"message")
        await until(lambda: valkey.client.hgetall(MESSAGES) == {b"a": b"message", b"b": b"message"})
        assert valkey.client.zcard(INDEX) == 2
        lease.release("a")
        await until(lambda: valkey.client.hkeys(MESSAGES) == [b"b"])
        await lease.drained()

    play(valkey, scenario)


def test_it_is_extended_though_there_is_always_something_to_write(valkey: Valkey) -> None:
    async def scenario(lease: Lease) -> None:
        lease.adopt("held", b"message")
        start = time.time()
        while time.time() < start + 3 * SECONDS:
            lease.adopt("short", b"message")
            lease.release("short")
            await asyncio.sleep(0)
        assert valkey.client.zscore(INDEX, "held") > start + 2 * SECONDS

    play(valkey, scenario)


def test_what_is_handed_over_before_it_is_noted_is_due_at_once(valkey: Valkey) -> None:
    async def scenario(lease: Lease) -> None:
        lease.adopt("a", b"message")
        await asyncio.sleep(0)  # the lease knows of it, and has not written yet
        await lease.hand_over("a")
        await until(lambda: valkey.client.hexists(MESSAGES, "a"))
        assert valkey.client.zscore(INDEX, "a") == 0

    play(valkey, scenario)


def test_what_was_taken_while_redis_was_away_is_noted_when_it_is_back(valkey: Valkey) -> None:
    async def scenario(lease: Lease) -> None:
        await asyncio.to_thread(valkey.stop)
        lease.adopt("a", b"message")
        lease.adopt("b", b"message")
        await asyncio.sleep(2 * SECONDS)
        lease.release("b")
        await asyncio.to_thread(valkey.start)
        await until(lambda: valkey.client.hkeys(MESSAGES) == [b"a"])
        await until(lambda: (valkey.client.zscore(INDEX, "a") or 0) > time.time() - SECONDS)

    play(valkey, scenario)
