"""Hop 6, in the worker: chunks of all its jobs, written to their logs in one call at a time.

While one call is under way the next one gathers, so the first token of a job never waits for a timer, and
under load a call carries a whole engine step. When Redis cannot be reached the engine goes on: chunks are
kept (a job's text is bounded by its context) and written when it is back.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from shared.joblog import Append, JobWriter
from shared.messages import Chunk, End, Usage

log = logging.getLogger(__name__)

# Not connections alone: a Redis that is full, or was made a replica, refuses writes and recovers, too.
UNREACHABLE = (RedisError, OSError)
MOST_CHUNKS = 512  # of one job in one call, so that catching up after an outage does not block Redis

T = TypeVar("T")


class Line:
    """One open attempt at a job: its chunks, how many of them are in the log, and what it has used so far."""

    def __init__(
        self, outbox: "Outbox", job_id: str, attempt: int, base: int, stop: Callable[[str], None]
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.base = base
        self.tokens = 0
        self.written = 0
        self.chunks: list[bytes] = []
        self.end: End | None = None
        self.used: Callable[[], Usage] = Usage
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._outbox = outbox
        self._stop = stop

    def put(self, chunk: Chunk) -> None:
        """Queue a chunk; returns at once."""
        self.tokens += len(chunk.tokens)
        self._outbox.tokens += len(chunk.tokens)
        self.chunks.append(chunk.encode())
        self._outbox.wake(self)

    async def close(self, end: End) -> str:
        """Queue the last chunk and wait until the log has it, or refuses it. The verdict tells which."""
        self.finish(end)
        return await self.closed

    def finish(self, end: End) -> None:
        """Queue the last chunk; returns at once. Another end, after that, is too late."""
        if self.end is None and not self.closed.done():
            self.end = end
            self.put(Chunk(self.attempt, [], end=end))

    async def flushed(self) -> None:
        """Wait until the log has, or refuses, all that was put."""
        while self.written < len(self.chunks) and not self.closed.done():
            await asyncio.sleep(0.01)

    def next(self) -> Append:
        """What to write next: everything the log does not have, up to a bound."""
        chunks = self.chunks[self.written : self.written + MOST_CHUNKS]
        last = self.written + len(chunks) == len(self.chunks)
        number = self.base + self.written + 1
        if self.end and last:
            return Append(self.job_id, self.attempt, number, chunks, self.end.state, self.end.usage)
        return Append(self.job_id, self.attempt, number, chunks, usage=self.used())

    def settle(self, verdict: str, append: Append) -> None:
        """Take the log's answer to `append`."""
        if verdict.startswith("behind:") and int(verdict[7:]) >= self.base:
            self.written = int(verdict[7:]) - self.base
        elif verdict in ("ok", "cancelled"):
            self.written = append.first - self.base - 1 + len(append.chunks)
            if append.state is not None:
                self.closed.set_result("ok")
            elif verdict == "cancelled":
                self._stop(verdict)
        else:
            log.warning("job %s attempt %d: the log refuses it: %s", self.job_id, self.attempt, verdict)
            self.closed.set_result(verdict)
            self._stop(verdict)


class Outbox:
    """Writes what its lines hold. `run` must be running. `tokens` counts all tokens put, ever."""

    def __init__(self, writer: JobWriter) -> None:
        self.tokens = 0
        self._flushed = time.monotonic()
        self._writer = writer
        self._waiting: dict[str, Line] = {}
        self._wake = asyncio.Event()

    @property
    def lag(self) -> float:
        """For how many seconds nothing could be written, though there is something."""
        return time.monotonic() - self._flushed if self._waiting else 0.0

    def open(self, job_id: str, attempt: int, length: int, stop: Callable[[str], None]) -> Line:
        """A line for an attempt just begun on a log of `length` chunks.

        `stop` is called with the verdict when the job must not go on: "cancelled", "fenced" or "lost".
        """
        return Line(self, job_id, attempt, length, stop)

    def wake(self, line: Line) -> None:
        if not line.closed.done():
            if not self._waiting:
                self._flushed = time.monotonic()
            self._waiting[line.job_id] = line
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            await patiently(self._flush)

    async def _flush(self) -> None:
        """Write all that waits: who waits for a first chunk does not wait for those that go on."""
        self._wake.clear()
        lines = list(self._waiting.values())
        for some in ([line for line in lines if not line.written], [line for line in lines if line.written]):
            if some:
                await self._write(some)

    async def _write(self, lines: list[Line]) -> None:
        batch = [line.next() for line in lines]
        try:
            verdicts = await self._writer.append(batch)
        except UNREACHABLE:
            self._wake.set()
            raise
        self._flushed = time.monotonic()
        for line, append, verdict in zip(lines, batch, verdicts, strict=True):
            line.settle(verdict, append)
            self._rest(line)

    def _rest(self, line: Line) -> None:
        """Forget a line that has nothing left to write."""
        if line.closed.done() or line.written == len(line.chunks):
            del self._waiting[line.job_id]
        else:
            self._wake.set()


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until Redis can be reached. Only for calls that may be repeated; ends by cancellation."""
    delay = 0.05
    while True:
        try:
            return await call()
        except UNREACHABLE as error:
            if delay > 0.5:
                log.warning("Redis cannot be reached, trying on: %s", error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 1.0)
