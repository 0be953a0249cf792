"""Hop 6, both ends: the append-only, numbered log of chunks that every job has in Redis.

Pub/sub makes the log live, the list makes it true: whoever reads a job is a cursor over its log, and a missed
message, a slow reader and a reader that comes back later are the same case: read on from number n.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgspec
import redis
import redis.asyncio

from shared import redis_keys as keys
from shared.errors import Cancelled
from shared.messages import Chunk, DeadLetter, EndState, Job, Kind, State, Usage, ending
from shared.scripts import script

MOST_DEAD = 1000  # dead letters; the oldest go first
SWEPT = 1000  # most jobs that are left in one call

Fate = Literal["stands", "left", "unknown"]
Verdict = Literal["run", "cancelled", "exhausted", "ended", "lost", "fenced", "surplus"]


class Start(NamedTuple):
    """Answer to opening an attempt, with what earlier ones have used; scripts/begin.lua explains the verdicts."""

    verdict: Verdict
    attempt: int
    length: int
    used: Usage = Usage()


class Append(NamedTuple):
    """Chunks to write for one job: encoded, and numbered from `first`. `state` is set on the last ones; `usage` is
    what the job has used until then."""

    job_id: str
    attempt: int
    first: int
    chunks: Sequence[bytes]
    state: EndState | None = None
    usage: Usage = Usage()


class Record(NamedTuple):
    """What is known of a job beside its log. Times are Unix seconds."""

    id: str
    model: str
    kind: Kind
    account: str
    tier: str
    state: State
    attempt: int
    created: float
    deadline: float


class JobLog:
    """The gateway's end: reads logs, cancels jobs. Raises redis errors.

    `log_ttl` (seconds) is how long a log is kept after its end, or its last reading.
    """

    def __init__(self, client: "redis.Redis", *, log_ttl: int) -> None:
        self._redis = client
        self._log_ttl = log_ttl
        self._claim = client.register_script(script("claim"))
        self._leave = client.register_script(script("leave", "lines", "ending"))
        self._cancelled = ending("cancelled", Cancelled().failure())

    def read(self, job_id: str, after: int = 0, most: int = 256) -> list[Chunk]:
        """Up to `most` chunks that follow number `after`; empty if there are none yet, or no such job.

        What is being read is kept: a slow reader may need longer than a log lives.
        """
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.lrange(keys.log(job_id), after, after + most - 1)
            pipe.expire(keys.log(job_id), self._log_ttl, gt=True)
            pipe.expire(keys.job(job_id), self._log_ttl, gt=True)
            found: list[bytes] = pipe.execute()[0]
        return [Chunk.decode(data) for data in found]

    def pages(self, job_id: str) -> Iterator[list[Chunk]]:
        """All chunks so far, as `read` gives them."""
        number = 0
        while page := self.read(job_id, number):
            number += len(page)
            yield page

    def chunks(self, job_id: str) -> list[Chunk]:
        """All chunks so far, at once."""
        return list(chain.from_iterable(self.pages(job_id)))

    def end(self, job_id: str) -> Chunk | None:
        """The last chunk of a job that has ended; None if its log is gone."""
        found: Any = self._redis.lindex(keys.log(job_id), -1)
        return Chunk.decode(found) if found else None

    def length(self, job_id: str) -> int:
        """How many chunks there are, so far."""
        return int(self._redis.llen(keys.log(job_id)))

    def record(self, job_id: str) -> Record | None:
        """The job's record, or None if there is none (expired, or lost with Redis's data)."""
        found: Any = self._redis.hmget(keys.job(job_id), Record._fields)
        if any(value is None for value in found):
            return None
        return msgspec.convert([value.decode() for value in found], Record, strict=False)

    def fate(self, job_id: str) -> Fate:
        """Whether a job stands, with or without an end, was cancelled because its reader left, or is unknown."""
        state, cancelled = self._redis.hmget(keys.job(job_id), ["state", "cancelled"])
        if state is None:
            return "unknown"
        return "left" if cancelled == b"left" and state != b"succeeded" else "stands"

    def claim(self, job_id: str, gateway_id: str, reader: str, *, standing: bool = False) -> bool:
        """Have the job's chunks published to this gateway, too; `reader` is who reads them now.

        False if there is no such job; with `standing`, also if its fate is "left". Which reader came last decides
        what happens when one leaves.
        """
        args = [gateway_id, reader, *(["standing"] if standing else [])]
        return bool(self._claim(keys=[keys.job(job_id)], args=args))

    def leave(self, job_id: str, model: str, reader: str) -> None:
        """Cancel the job, unless another reader has come since."""
        self._end(job_id, model, reader)

    def leave_later(self, job_id: str, model: str, reader: str, seconds: float) -> None:
        """Leave when this time is over; any gateway does it (`sweep`)."""
        entry = msgspec.json.encode((job_id, model, reader))
        self._redis.zadd(keys.LEAVING, {entry: time.time() + seconds})

    def sweep(self) -> None:
        """Leave the jobs whose time is over, SWEPT of them at most. May be repeated."""
        due: Any = self._redis.zrange(keys.LEAVING, "-inf", time.time(), byscore=True, offset=0, num=SWEPT)
        if not due:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for entry in due:
                job_id, model, reader = msgspec.json.decode(entry, type=tuple[str, str, str])
                self._end(job_id, model, reader, client=pipe)
            pipe.zrem(keys.LEAVING, *due)
            pipe.execute()

    def cancel(self, job_id: str, model: str) -> None:
        """End the job if it waits in line; else mark it as unwanted, then tell its workers. A worker that misses
        the message sees the mark."""
        self._end(job_id, model)

    def _end(self, job_id: str, model: str, *reader: str, client: Any = None) -> None:
        names = [keys.job(job_id), keys.control_channel(model)]
        self._leave(keys=names, args=[job_id, self._log_ttl, self._cancelled, *reader], client=client)


class JobWriter:
    """The end of a model's worker: opens attempts and appends, fenced by the attempt's number and the worker's id.

    Raises redis errors.
    """

    def __init__(
        self, client: "redis.asyncio.Redis", model: str, worker_id: str, *, live_ttl: int, log_ttl: int
    ) -> None:
        self._redis = client
        self._worker_id = worker_id
        self._model = model
        self._begin = client.register_script(script("begin"))
        self._hand_over = client.register_script(script("hand_over"))
        self._append = client.register_script(script("append", "lines", "ending"))
        self._live_ttl = live_ttl
        self._log_ttl = log_ttl

    async def begin(self, job_id: str, max_attempts: int, token: str, tag: str = "") -> Start:
        """Open the next attempt at a job; earlier attempts can write nothing from now on.

        May be repeated with the same `token`, which is to be random: that opens the same attempt. `tag` is the
        delivery tag of the job's message.
        """
        verdict, attempt, length, used = await self._begin(
            keys=[keys.job(job_id), keys.log(job_id), keys.lease(self._model)],
            args=[job_id, self._worker_id, max_attempts, self._live_ttl, token, tag],
        )
        counts = dict(zip(Usage.__struct_fields__, map(int, used.split()), strict=False))
        return Start(verdict.decode(), attempt, length, Usage(**counts))

    async def chunks(self, job_id: str) -> list[Chunk]:
        """All that earlier attempts have written; bounded by the model's context."""
        found: Any = await self._redis.lrange(keys.log(job_id), 0, -1)
        return [Chunk.decode(data) for data in found]

    async def hand_over(self, job_id: str, attempt: int) -> None:
        """End an attempt that is not to be counted among those that failed. May be repeated."""
        await self._hand_over(keys=[keys.job(job_id)], args=[attempt, self._worker_id])

    async def bury(self, job: Job, reason: str) -> None:
        """Keep a job that is given up, for the operator to see. May be repeated."""
        letter = DeadLetter(job=job, reason=reason, died=time.time())
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.DEAD, letter.encode())
            pipe.ltrim(keys.DEAD, 0, MOST_DEAD - 1)
            await pipe.execute()

    async def append(self, batch: Sequence[Append]) -> list[str]:
        """Write a batch in one call; a verdict for each, as explained in scripts/append.lua."""
        names: list[str] = []
        args: list[Any] = [self._log_ttl, self._worker_id, self._model]
        for item in batch:
            names += [keys.job(item.job_id), keys.log(item.job_id)]
            used = " ".join(map(str, msgspec.structs.astuple(item.usage)))
            args += [item.attempt, item.first, item.state or "", used, len(item.chunks), *item.chunks]
        return [verdict.decode() for verdict in await self._append(keys=names, args=args)]
