"""Hop 4: the one Celery task. A pool thread hands the job to the engine's loop and waits for its end."""

import asyncio
import logging
import time
from typing import Any

import msgspec
from celery import Celery
from celery.exceptions import Reject

from shared.messages import Job
from shared.queues import TASK
from workers.runner import Runner

log = logging.getLogger(__name__)

GRACE = 60.0  # seconds a thread waits beyond a job's deadline for its end to reach the log


def register(app: Celery, runner: Runner, loop: asyncio.AbstractEventLoop) -> None:
    """Define the task on `app`. Whatever happens to a job is in the job's log. A job that goes on
    elsewhere is rejected, which leaves its message to its lease (shared/transport.py)."""

    @app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
    def run(self: Any, data: str) -> None:
        try:
            job = Job.decode(data)
        except msgspec.DecodeError as error:
            log.error("message %s is no job, dropped: %s", self.request.id, error)
            return
        tag = self.request.properties["delivery_tag"]
        end = asyncio.run_coroutine_threadsafe(runner.run(job, tag), loop)
        try:
            done = end.result(timeout=max(0.0, job.deadline - time.time()) + GRACE)
        except TimeoutError:
            log.error("job %s: no end %d s after its deadline, dropped", job.id, GRACE)
            end.cancel()
            return
        if not done:
            raise Reject("the job goes on elsewhere", requeue=True)
