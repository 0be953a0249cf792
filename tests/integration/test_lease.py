"""Leases of messages, on a real Redis: noted together, extended on the beat, given back."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.client import Pipeline

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


class Gate(redis.asyncio.Redis):
    """A client whose transactions wait, when all is ready to be sent, until the gate is `open`."""

    def __init__(self, port: int) -> None:
        super().__init__(port=port)
        self.open = asyncio.Event()
        self.reached = asyncio.Event()
        self.open.set()

    async def next(self) -> None:
        """The next transaction has come as far as the gate, and so all before it are done."""
        self.reached.clear()
        await self.reached.wait()

    def pipeline(self, *args: Any, **options: Any) -> Pipeline:
        pipe = super().pipeline(*args, **options)
        execute = pipe.execute

        async def later(*args: Any, **options: Any) -> Any:
            self.reached.set()
            await self.open.wait()
            return await execute(*args, **options)

        pipe.execute = later  # type: ignore[method-assign]
        return pipe


def play(valkey: Valkey, scenario: Callable[[Lease, Gate], Awaitable[None]]) -> None:
    async def run() -> None:
        client = Gate(valkey.port)
        lease = Lease(client, "m", SECONDS)
        keeping = asyncio.create_task(lease.keep())
        async with asyncio.timeout(40):
            await scenario(lease, client)
        keeping.cancel()
        await client.aclose()

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_message_is_noted_and_given_back(valkey: Valkey) -> None:
    async def scenario(lease: Lease, gate: Gate) -> None:
        for tag in ("a", "b"):
            lease.adopt(tag, b"message")
        await until(lambda: valkey.client.hgetall(MESSAGES) == {b"a": b"message", b"b": b"message"})
        assert valkey.client.zcard(INDEX) == 2
        lease.release("a")
        await until(lambda: valkey.client.hkeys(MESSAGES) == [b"b"])
        await lease.drained()

    play(valkey, scenario)


def test_it_is_extended_though_there_is_always_something_to_write(valkey: Valkey) -> None:
    async def scenario(lease: Lease, gate: Gate) -> None:
        lease.adopt("held", b"message")
        start = time.time()
        while time.time() < start + 3 * SECONDS:
            lease.adopt("short", b"message")
            lease.release("short")
            await asyncio.sleep(0)
        assert valkey.client.zscore(INDEX, "held") > start + 2 * SECONDS

    play(valkey, scenario)


def test_what_is_handed_over_before_it_is_noted_is_due_at_once(valkey: Valkey) -> None:
    async def scenario(lease: Lease, gate: Gate) -> None:
        lease.adopt("a", b"message")
        await asyncio.sleep(0)  # the lease knows of it, and has not written yet
        await lease.hand_over("a")
        await until(lambda: valkey.client.hexists(MESSAGES, "a"))
        assert valkey.client.zscore(INDEX, "a") == 0

    play(valkey, scenario)


def test_what_is_handed_over_while_it_is_extended_is_due_at_once(valkey: Valkey) -> None:
    async def scenario(lease: Lease, gate: Gate) -> None:
        lease.adopt("a", b"message")
        await until(lambda: valkey.client.hexists(MESSAGES, "a"))
        gate.open.clear()
        await gate.next()  # beat is on its way
        handing = asyncio.create_task(lease.hand_over("a"))
        await asyncio.wait([handing], timeout=0.05)  # time to overtake the beat, if nothing holds it
        gate.open.set()
        await handing
        await gate.next()
        await gate.next()
        assert valkey.client.zscore(INDEX, "a") == 0

    play(valkey, scenario)


def test_what_was_taken_while_redis_was_away_is_noted_when_it_is_back(valkey: Valkey) -> None:
    async def scenario(lease: Lease, gate: Gate) -> None:
        await asyncio.to_thread(valkey.stop)
        lease.adopt("a", b"message")
        lease.adopt("b", b"message")
        await asyncio.sleep(2 * SECONDS)
        lease.release("b")
        await asyncio.to_thread(valkey.start)
        await until(lambda: valkey.client.hkeys(MESSAGES) == [b"a"])
        await until(lambda: (valkey.client.zscore(INDEX, "a") or 0) > time.time() - SECONDS)

    play(valkey, scenario)
