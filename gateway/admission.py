"""Hops 2 and 3: a request becomes a job, or is refused here and never later."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from gateway.relay import Relay
from gateway.roster import Roster
from shared import queues
from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import ModelUnavailable, QueueFull, QueueUnreachable, Relayed, TierRequired
from shared.joblog import JobLog
from shared.messages import Chunk, End, Job
from shared.settings import Settings

log = logging.getLogger(__name__)


class Answer:
    """A job under way: iterate once for its chunks as they come.

    A job that failed raises its failure as Relayed, after the chunks it had; Relay.follow tells what else.
    """

    def __init__(self, job: Job, chunks: Iterator[list[Chunk]]) -> None:
        self.job = job
        self.end: End | None = None
        self._chunks = chunks

    def __iter__(self) -> Iterator[list[Chunk]]:
        for chunks in self._chunks:
            self.end = chunks[-1].end
            if self.end is None or self.end.failure is None:
                yield chunks
            else:
                if len(chunks) > 1:
                    yield chunks[:-1]
                raise Relayed(self.end.failure)


class Admission:
    """Admits requests to the models' queues."""

    def __init__(
        self, settings: Settings, gateway_id: str, joblog: JobLog, roster: Roster, celery: Celery, relay: Relay
    ) -> None:
        self._settings = settings
        self._gateway_id = gateway_id
        self._log = joblog
        self._roster = roster
        self._celery = celery
        self._relay = relay

    @contextmanager
    def submit(
        self,
        holder: Holder,
        tier: str,
        model: Model,
        body: dict[str, Any],
        left: Callable[[], bool] = lambda: False,
    ) -> Iterator[Answer]:
        """Run a request as a job of `tier`. Leaving the context before the job's end cancels the job.

        `left` tells whether the client has gone. Raises TierRequired, ModelUnavailable, QueueFull or
        QueueUnreachable.
        """
        if tier == "premium" and holder.tier != "premium":
            raise TierRequired("This endpoint needs a premium key; free keys use /v1/free/.")
        job = self._job(holder, tier, model, body)
        # The inbox is open before the job is enqueued: pub/sub drops messages nobody hears.
        with self._relay.inbox(job.id) as inbox:
            answer = Answer(job, self._relay.follow(inbox, job.deadline, left))
            self._admit(job)
            try:
                self._enqueue(job)
                yield answer
            finally:
                # Also after a failure: the job may be in the queue all the same, if only the reply was lost.
                if answer.end is None:
                    self._cancel(job)

    def _job(self, holder: Holder, tier: str, model: Model, body: dict[str, Any]) -> Job:
        now = time.time()
        return Job(
            id=f"job_{uuid.uuid4().hex}",
            model=model.id,
            kind=model.kind,
            body=body,
            account=holder.account,
            tier=tier,
            reply_to=self._gateway_id,
            created=now,
            deadline=now + self._settings.job_timeout,
        )

    def _admit(self, job: Job) -> None:
        try:
            if not self._roster.serves(job.model):
                raise ModelUnavailable(f"No worker serves '{job.model}' at the moment.", param="model")
            waiting = self._log.admit(job, most_waiting=self._settings.queue_bound)
        except RedisError as error:
            raise QueueUnreachable from error
        if waiting is not None:
            raise QueueFull(f"{waiting} jobs wait for '{job.model}' already. Try again later.", param="model")

    def _enqueue(self, job: Job) -> None:
        try:
            queues.enqueue(self._celery, job)
        except OperationalError as error:
            raise QueueUnreachable from error
        log.info("job %s %s: queued, tier %s", job.id, job.model, job.tier)

    def _cancel(self, job: Job) -> None:
        try:
            self._log.cancel(job.id, job.model)
        except RedisError as error:
            log.warning("job %s could not be cancelled: %s", job.id, error)
