"""Hop 4: Celery's pool, whose places are tasks of the engine's loop, and the one Celery task.

A pool of threads has one for each job, which hands it to the loop and waits: a thousand streams need a thousand
threads, and a job's start and end wait for the interpreter's lock twice more.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.concurrency.base import BasePool
from celery.exceptions import Reject

from shared.messages import Job
from shared.queues import TASK
from workers.runner import Runner

log = logging.getLogger(__name__)

GRACE = 60.0  # seconds that are waited beyond a job's deadline for its end to reach the log

Told = Callable[[tuple[bool, Any, float]], None]
"""Of a task that has ended: whether it failed, what it returned or failed with, how many seconds it took."""


def make_pool(app: Celery, runner: Runner, loop: asyncio.AbstractEventLoop) -> type[BasePool]:
    """A pool for `app`'s worker. Whatever happens to a job is in the job's log. A job that goes on elsewhere is
    rejected, which leaves its message to its lease (shared/transport.py)."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def run(job: str) -> None:
        """What Celery knows of it: its name."""

    class Pool(_Pool):
        _runner = runner
        _loop = loop

    return Pool


class _Pool(BasePool):
    signal_safe = False
    _runner: Runner
    _loop: asyncio.AbstractEventLoop

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tasks: set[asyncio.Task[None]] = set()
        # Behind a lost connection Celery takes more messages than there are places.
        self._places = asyncio.Semaphore(self.limit)

    def on_apply(
        self,
        target: Any,
        args: Any,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> None:
        """Run the job of a message that Celery has taken; from its main thread."""
        _type, message_id, request, *_ = args
        accept_callback(os.getpid(), time.monotonic())
        try:
            job = Job.decode(request["args"][0])
        except (msgspec.MsgspecError, TypeError, ValueError, LookupError) as error:
            log.error("message %s is no job, dropped: %s", message_id, error)
            callback((False, None, 0.0))
            return
        tag = request["properties"]["delivery_tag"]
        self._loop.call_soon_threadsafe(self._begin, job, tag, callback)

    def on_stop(self) -> None:
        """Wait for all jobs to end here; each has its deadline."""
        asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result()

    def _begin(self, job: Job, tag: str, told: Told) -> None:
        task = self._loop.create_task(self._run(job, tag, told))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job, tag: str, told: Told) -> None:
        start = time.monotonic()
        done = False
        try:
            async with asyncio.timeout(max(0.0, job.deadline - time.time()) + GRACE), self._places:
                done = await self._runner.run(job, tag)
        except TimeoutError:
            log.error("job %s: no end %d s after its deadline, dropped", job.id, GRACE)
            done = True
        except Exception:
            log.exception("job %s: dropped", job.id)
            done = True
        finally:
            told((False, None, time.monotonic() - start) if done else (True, _elsewhere(), 0.0))

    async def _ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)


def _elsewhere() -> ExceptionInfo:
    """How Celery is told that a message is not acknowledged."""
    try:
        raise Reject("the job goes on elsewhere", requeue=True)
    except Reject:
        return ExceptionInfo()
