"""Hops 4 to 6 of one job: open an attempt, run it on the engine, write its chunks and its end."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

import msgspec

from shared import log as logs
from shared.errors import Cancelled, EngineFailed, Interrupted, RequestError, Timeout
from shared.joblog import JobWriter, Start
from shared.messages import Chunk, End, Job, Usage
from workers import metrics
from workers.engines.base import Done, Engine, EngineDied, Meter
from workers.lease import Lease
from workers.outbox import Line, Outbox, patiently
from workers.traces import Trace

log = logging.getLogger(__name__)

Outcome = Literal["done", "handed over", "fenced"]

RECENT = 0.1  # the share of the last job in the average of how long they take

EXHAUSTED = "The workers that ran this job died, one after the other."


class Runner:
    """Runs jobs on the engine's loop; as many at once as Celery hands over."""

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        writer: JobWriter,
        lease: Lease,
        *,
        max_attempts: int,
        on_death: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._writer = writer
        self._lease = lease
        self._max_attempts = max_attempts
        self._on_death = on_death
        self._jobs: dict[str, asyncio.Task[Outcome]] = {}
        self._generations: dict[str, asyncio.Task[End]] = {}
        self._unwanted: set[str] = set()
        self._leaving = False
        self._meters: dict[str, Meter] = {}
        self._ended = 0
        self.job_seconds = 0.0

    @property
    def tokens(self) -> int:
        """Made so far, of all jobs."""
        return self._outbox.tokens

    @property
    def running(self) -> list[str]:
        """Ids of the jobs in hand."""
        return list(self._jobs)

    @property
    def lag(self) -> float:
        """For how many seconds what was made has waited to be in the logs."""
        return self._outbox.lag

    @property
    def progress(self) -> tuple[int, int] | None:
        """What changes as the engine's jobs come on, or end; None if it has none. From any thread."""
        used = [meter.read() for meter in list(self._meters.values())]
        if not used:
            return None
        return self._ended, sum(each.completion_tokens + each.image_steps for each in used)

    async def run(self, job: Job, tag: str) -> bool:
        """Run a job to its end; `tag` is its message's delivery tag.

        False if the job goes on elsewhere: then its message must not be acknowledged.

        A job that is delivered again while it runs here (Redis came back after the lease had ended) is not
        started twice: the new message waits for the same end.
        """
        task = self._jobs.get(job.id)
        if task is None:
            task = self._jobs[job.id] = asyncio.create_task(self._attempt(job, tag))
            task.add_done_callback(lambda _: self._forget(job.id))
        outcome = await asyncio.shield(task)
        if outcome == "handed over":
            await patiently(lambda: self._lease.hand_over(tag))
        elif outcome == "fenced":
            self._lease.forget(tag)
        return outcome == "done"

    def cancel(self, job_id: str) -> None:
        """Stop generating for a job; does nothing if it is not here. Its log gets a "cancelled" end."""
        if generation := self._generations.get(job_id):
            generation.cancel()
        elif job_id in self._jobs:
            self._unwanted.add(job_id)  # its attempt was opened before the mark, and is not yet known here

    async def hand_over(self) -> None:
        """Stop all jobs where they are, and leave them to other workers."""
        self._leaving = True
        for generation in self._generations.values():
            generation.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    def _forget(self, job_id: str) -> None:
        del self._jobs[job_id]
        self._unwanted.discard(job_id)

    async def _attempt(self, job: Job, tag: str) -> Outcome:
        logs.about.set({"job": job.id, "model": job.model, "request": job.request})
        token = uuid.uuid4().hex
        start = await patiently(lambda: self._writer.begin(job.id, self._max_attempts, token, tag))
        metrics.begun(start.verdict)
        if start.verdict == "fenced":
            return "fenced"
        if start.verdict in ("ended", "lost", "surplus"):
            log.warning("job %s: a message is dropped: %s", job.id, start.verdict)
            return "done"
        if start.verdict == "exhausted":
            await patiently(lambda: self._writer.bury(job, EXHAUSTED))
        recorded = await self._recorded(job, start)
        trace = Trace(job, start.attempt)
        line = self._outbox.open(job.id, start.attempt, start.length, lambda _: self.cancel(job.id))
        line.tokens = sum(len(chunk.tokens) for chunk in recorded)
        begun = time.monotonic()
        end = _refusal(start, line)
        if end is None:
            end = await self._generate(job, line, recorded)
            end = line.end or end  # one that is under way stands, though its time was over meanwhile
            trace.made(line.tokens)
        if end is None:
            trace.end("handed over", len(line.chunks))
            return await self._leave(job, line)
        verdict = await line.close(end)
        trace.end(end.state if verdict == "ok" else verdict, len(line.chunks))
        state = end.state if verdict == "ok" else verdict
        if state == "succeeded":
            self._note(time.monotonic() - begun)
        log.info("job %s %s: %s, %d tokens", job.id, job.model, state, line.tokens)
        return "fenced" if verdict == "fenced" else "done"

    def _note(self, seconds: float) -> None:
        """Another job has been done."""
        weight = RECENT if self.job_seconds else 1.0
        self.job_seconds += weight * (seconds - self.job_seconds)

    async def _leave(self, job: Job, line: Line) -> Outcome:
        """Leave the job to another worker, with all that was said of it."""
        await line.flushed()
        if self._leaving:
            await patiently(lambda: self._writer.hand_over(job.id, line.attempt))
        log.info("job %s %s: handed over after %d tokens", job.id, job.model, line.tokens)
        return "handed over"

    async def _recorded(self, job: Job, start: Start) -> list[Chunk]:
        """What the answer's client may have seen. An image is made anew: its steps are no part of it."""
        if start.length == 0 or job.kind == "image":
            return []
        return await patiently(lambda: self._writer.chunks(job.id))

    async def _generate(self, job: Job, line: Line, recorded: list[Chunk]) -> End | None:
        """The end of the job, whatever happens; errors and cancellation are ends, too. None if it is to go on
        elsewhere: this worker leaves, or its engine has died."""
        if self._leaving:
            return None
        meter = Meter()
        line.used = lambda: _used(meter, line)
        if job.id in self._unwanted:
            return _cancelled(meter, line)
        self._meters[job.id] = meter
        generation = self._generations[job.id] = asyncio.create_task(self._stream(job, line, recorded, meter))
        try:
            async with asyncio.timeout(max(0.0, job.deadline - time.time())):
                return await generation
        except TimeoutError:
            return _failed(Timeout(), meter, line)
        except asyncio.CancelledError:
            if self._leaving:
                return None
            return _cancelled(meter, line)
        except EngineDied:
            self._on_death()
            return None
        except RequestError as error:
            return _failed(error, meter, line)
        except Exception:
            log.exception("job %s: the engine failed", job.id)
            return _failed(EngineFailed(), meter, line)
        finally:
            generation.cancel()
            with contextlib.suppress(BaseException):
                await generation
            # From here on the job waits for Redis alone, which is no sign of how the engine is.
            del self._generations[job.id], self._meters[job.id]
            self._ended += 1

    async def _stream(self, job: Job, line: Line, recorded: list[Chunk], meter: Meter) -> End:
        async with aclosing(self._engine.generate(job, recorded, meter)) as stream:
            async for item in stream:
                if isinstance(item, Done):
                    end = End(state="succeeded", finish_reason=item.finish_reason, usage=item.usage)
                    line.finish(end)  # together with what was said last
                    return end
                line.put(Chunk(line.attempt, item.tokens, msgspec.Raw(item.payload)))
        raise EngineFailed("the engine stopped without an end")


def _refusal(start: Start, line: Line) -> End | None:
    """The end of a job that must not be generated, if so. What earlier attempts have said of it counts."""
    most = max(start.used.completion_tokens, line.tokens)
    said = msgspec.structs.replace(start.used, completion_tokens=most)
    if start.verdict == "cancelled":
        return End(state="cancelled", usage=said, failure=Cancelled().failure())
    if start.verdict == "exhausted":
        return End(state="failed", usage=said, failure=Interrupted(EXHAUSTED).failure())
    return None


def _cancelled(meter: Meter, line: Line) -> End:
    return End(state="cancelled", usage=_used(meter, line), failure=Cancelled().failure())


def _failed(error: RequestError, meter: Meter, line: Line) -> End:
    return End(state="failed", usage=_used(meter, line), failure=error.failure())


def _used(meter: Meter, line: Line) -> Usage:
    """What the engine has used; at least what earlier attempts have said, though it may not have come so far."""
    used = meter.read()
    return msgspec.structs.replace(used, completion_tokens=max(used.completion_tokens, line.tokens))
