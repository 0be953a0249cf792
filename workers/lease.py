"""Hop 4: the lease a worker holds on the messages of its running jobs.

The heartbeat runs on the engine's loop, so that a loop that is blocked loses its jobs to another worker. An engine
that hangs elsewhere, in a process or a thread of its own, is the watchdog's to notice (workers/watchdog.py).
"""

import asyncio
import time
from typing import Any

import redis.asyncio

from shared import redis_keys as keys
from workers.outbox import patiently


class Lease:
    """Extends the lease of held messages, and gives back those that were acknowledged.

    `hold`, `adopt` and `release` may be called from any thread, and never raise.
    """

    def __init__(self, client: "redis.asyncio.Redis", model: str, seconds: float) -> None:
        self._redis = client
        self._index = keys.lease_index(model)
        self._messages = keys.lease(model)
        self._beat = seconds / 4
        self._held: set[str] = set()
        self._released: set[str] = set()
        self._adopted: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def hold(self, tag: str) -> None:
        """Extend this message's lease from now on."""
        self._loop.call_soon_threadsafe(self._held.add, tag)

    def forget(self, tag: str) -> None:
        """Somebody else has the message: its lease is not ours any more."""
        self._held.discard(tag)

    async def hand_over(self, tag: str) -> None:
        """End the lease now, so that another worker gets the message at once. May be repeated."""
        self._held.discard(tag)
        await self._redis.zadd(self._index, {tag: 0}, xx=True)

    def adopt(self, tag: str, message: str) -> None:
        """Note the lease of a message that was delivered without one."""
        self._loop.call_soon_threadsafe(self._adopt, tag, message)

    def release(self, tag: str) -> None:
        """Give this message back for good: it is done."""
        self._loop.call_soon_threadsafe(self._release, tag)

    def _adopt(self, tag: str, message: str) -> None:
        self._adopted[tag] = message
        self._wake.set()

    def _release(self, tag: str) -> None:
        self._held.discard(tag)
        self._adopted.pop(tag, None)
        self._released.add(tag)
        self._wake.set()

    async def keep(self) -> None:
        """Beat until cancelled."""
        while True:
            await patiently(self._renew)
            try:
                async with asyncio.timeout(self._beat):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _renew(self) -> None:
        self._wake.clear()
        held, released = set(self._held), set(self._released)
        adopted: dict[Any, Any] = dict(self._adopted)
        async with self._redis.pipeline(transaction=True) as pipe:
            if adopted:
                pipe.zadd(self._index, dict.fromkeys(adopted, time.time()))
                pipe.hset(self._messages, mapping=adopted)
            if released:
                pipe.zrem(self._index, *released)
                pipe.hdel(self._messages, *released)
            if held:
                pipe.zadd(self._index, dict.fromkeys(held, time.time()), xx=True)
            await pipe.execute()
        self._released -= released
        for tag in adopted:
            self._adopted.pop(tag, None)

    async def drained(self) -> None:
        """Wait until every acknowledgement has reached Redis, and every message taken has its lease."""
        while self._released or self._adopted:
            await asyncio.sleep(0.02)
