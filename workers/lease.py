"""Hop 4: the lease a worker holds on the messages of its running jobs.

The heartbeat runs on the engine's loop on purpose: an engine that is wedged loses its jobs to another worker.
"""

import asyncio
import time

import redis.asyncio

from shared import redis_keys as keys
from workers.outbox import patiently


class Lease:
    """Extends the lease of held messages, and gives back those that were acknowledged."""

    def __init__(self, client: "redis.asyncio.Redis", model: str, seconds: float) -> None:
        self._redis = client
        self._index = keys.lease_index(model)
        self._messages = keys.lease(model)
        self._beat = seconds / 4
        self._held: set[str] = set()
        self._released: set[str] = set()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def hold(self, tag: str) -> None:
        """Extend this message's lease from now on."""
        self._held.add(tag)

    def release(self, tag: str) -> None:
        """Give this message back for good: it is done. May be called from any thread; never raises."""
        self._loop.call_soon_threadsafe(self._release, tag)

    def _release(self, tag: str) -> None:
        self._held.discard(tag)
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
        async with self._redis.pipeline(transaction=True) as pipe:
            if released:
                pipe.zrem(self._index, *released)
                pipe.hdel(self._messages, *released)
            if held:
                pipe.zadd(self._index, dict.fromkeys(held, time.time()), xx=True)
            await pipe.execute()
        self._released -= released

    async def drained(self) -> None:
        """Wait until every acknowledgement has reached Redis."""
        while self._released:
            await asyncio.sleep(0.02)
