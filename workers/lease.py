"""Hop 4: the lease a worker holds on the messages of its running jobs.

The heartbeat runs on the engine's loop, so that a loop that is blocked loses its jobs to another worker. An engine
that hangs elsewhere, in a process or a thread of its own, is the watchdog's to notice (workers/watchdog.py).
"""

import asyncio
import contextlib
import time

import redis.asyncio

from shared import redis_keys as keys
from workers.outbox import patiently


class Lease:
    """Notes and extends the lease of messages that were delivered, and gives back those that were acknowledged.

    `adopt` and `release` may be called from any thread, and never raise.
    """

    def __init__(self, client: "redis.asyncio.Redis", model: str, seconds: float) -> None:
        self._redis = client
        self._index = keys.lease_index(model)
        self._messages = keys.lease(model)
        self._beat = seconds / 4
        self._held: set[str] = set()
        self._released: set[str] = set()
        self._adopted: dict[str, bytes] = {}
        self._wake = asyncio.Event()
        self._one = asyncio.Lock()  # write at a time: none overtakes what was known after it began
        self._loop = asyncio.get_running_loop()

    def forget(self, tag: str) -> None:
        """Somebody else has the message: its lease is not ours any more."""
        self._held.discard(tag)

    async def hand_over(self, tag: str) -> None:
        """End the lease now, so that another worker gets the message at once. May be repeated."""
        self._held.discard(tag)
        async with self._one:
            await self._redis.zadd(self._index, {tag: 0}, xx=True)

    def adopt(self, tag: str, message: bytes) -> None:
        """This message was delivered: its lease is ours."""
        self._loop.call_soon_threadsafe(self._adopt, tag, message)

    def release(self, tag: str) -> None:
        """Give this message back for good: it is done."""
        self._loop.call_soon_threadsafe(self._release, tag)

    def _adopt(self, tag: str, message: bytes) -> None:
        self._held.add(tag)
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
            await patiently(lambda: self._write(beat=True))
            due = self._loop.time() + self._beat
            with contextlib.suppress(TimeoutError):
                while self._loop.time() < due:
                    async with asyncio.timeout_at(due):
                        await self._wake.wait()
                    await patiently(lambda: self._write(beat=False))

    async def _write(self, *, beat: bool) -> None:
        """Note what is new, give back what is done, and at a beat extend what is held."""
        self._wake.clear()
        async with self._one, self._redis.pipeline(transaction=True) as pipe:
            released, adopted, now = set(self._released), dict(self._adopted), time.time()
            if adopted:
                # What was handed over, or is another's, before it was noted is due at once.
                pipe.zadd(self._index, {tag: now if tag in self._held else 0 for tag in adopted})
                pipe.hset(self._messages, mapping=adopted)  # type: ignore[arg-type]
            if released:
                pipe.zrem(self._index, *released)
                pipe.hdel(self._messages, *released)
            if beat and self._held:
                pipe.zadd(self._index, dict.fromkeys(self._held, now), xx=True)
            await pipe.execute()
        self._released -= released
        for tag in adopted:
            self._adopted.pop(tag, None)

    async def drained(self) -> None:
        """Wait until every acknowledgement has reached Redis, and every message taken has its lease."""
        while self._released or self._adopted:
            await asyncio.sleep(0.02)
