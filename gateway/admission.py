"""Hops 2 and 3: a request becomes a job, or is refused here and never later."""

import logging
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gevent
from gevent.pool import Group
from redis.exceptions import RedisError

from gateway import costs, limits, request_id
from gateway.line import Place, Places, about
from gateway.outages import patiently, reaching_queue
from gateway.presence import Presence
from gateway.relay import Inbox, Relay, Told
from gateway.roster import Roster
from gateway.traces import Trace, traced
from gateway.turns import Turn
from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import (
    ModelUnavailable,
    NotFound,
    QueueFull,
    QueueUnreachable,
    QuotaExceeded,
    RateLimited,
    Relayed,
    RequestError,
)
from shared.joblog import Fate, JobLog, Record
from shared.lines import Lines, Scope, Terms, Verdict
from shared.messages import Chunk, End, Job, Kind, new_job_id
from shared.queues import Envelope
from shared.settings import Settings
from shared.tiers import Tiers

log = logging.getLogger(__name__)

MOST_GRACE = 300  # seconds a client may stay away from its job
SWEEP = 0.5  # seconds between looks for clients that have not come back
TEND = 1.0  # seconds between looks at jobs that wait
REFUSALS = (ModelUnavailable, QueueFull, RateLimited, QuotaExceeded)
"""After which there is no job, for certain."""


@dataclass(frozen=True)
class Client:
    """Who waits for an answer: whether it is there, how many seconds it may stay away, and for how many it wants
    its job to go on at most (None: as long as any may).

    `grace` is what it asked for itself: it goes on after the number of the last chunk it has. One that only sends
    its request again, within `again`, knows of no numbers. For one that stands `apart` no limits hold, and no
    workers are started.
    """

    presence: Presence = field(default_factory=Presence)
    grace: float = 0.0
    again: float = 0.0
    timeout: float | None = None
    apart: bool = False

    @property
    def numbers(self) -> bool:
        """Whether it knows of numbers."""
        return self.grace > 0

    @property
    def away(self) -> float:
        """Seconds for which its job goes on without it."""
        return max(self.grace, self.again)


class GivenUp(Exception):
    """The job was cancelled because its client had left, just before that came back."""


class Answer:
    """A job under way: iterate once for its chunks as they come, in lists; an empty one says that it goes on.

    A job that failed raises its failure as Relayed, after the chunks it had; Relay.follow tells what else.
    `number` is that of the last chunk given; `resumable` tells that the client knows of numbers; `limits` are the
    headers that tell what is left to it.
    """

    def __init__(
        self,
        job: Record,
        chunks: Generator[Told],
        inbox: Inbox,
        places: Places,
        *,
        after: int = 0,
        resumable: bool = False,
    ) -> None:
        self.job = job
        self.resumable = resumable
        self.number = after
        self.end: End | None = None
        self._chunks = chunks
        self._inbox = inbox
        self._places = places
        self._first: float | None = None
        self.limits: dict[str, str] = {}

    @property
    def place(self) -> Place | None:
        """Where the job stands in its model's line; None if it has begun, as far as is known."""
        waits = self._first is None and self._inbox.begun is None
        return self._places.place(self.job) if waits else None

    @property
    def timings(self) -> dict[str, float]:
        """Seconds from the request's admission to the job's beginning (`queue`), to its first chunk (`ttft`), and
        until now (`total`); what was not seen here is missing."""
        moments = {"queue": self._inbox.begun, "ttft": self._first, "total": time.time()}
        return {name: at - self.job.created for name, at in moments.items() if at is not None}

    def __iter__(self) -> Iterator[list[Chunk]]:
        for number, chunks in self._chunks:
            if chunks and self._first is None:
                self._first = time.time()
            self.number = number
            self.end = chunks[-1].end if chunks else None
            if self.end is None or self.end.failure is None:
                yield chunks
            else:
                if len(chunks) > 1:
                    self.number = number - 1  # of the last that is yielded: the others count from it
                    yield chunks[:-1]
                raise Relayed(self.end.failure)

    def pass_on(self, write: Callable[[list[Chunk]], bool]) -> None:
        """From now on chunks may go to the client by `write`, past who iterates and waits: all but the first and
        the last. It must not block, and tells whether it has taken them."""

        def express(number: int, chunks: list[Chunk]) -> bool:
            if self._first is None:
                return False
            before, self.number, taken = self.number, number, False
            try:
                taken = write(chunks)
            finally:
                if not taken:
                    self.number = before
            return taken

        self._inbox.express = express

    def close(self) -> None:
        """No more of it is wanted."""
        self._inbox.express = None
        self._chunks.close()


class Admission:
    """Admits requests to the models' queues, and lets clients come back to what they have asked for."""

    def __init__(
        self,
        settings: Settings,
        gateway_id: str,
        joblog: JobLog,
        lines: Lines,
        roster: Roster,
        tiers: Tiers,
        envelope: Envelope,
        relay: Relay,
    ) -> None:
        self._settings = settings
        self._gateway_id = gateway_id
        self._log = joblog
        self._lines = lines
        self._roster = roster
        self._tiers = tiers
        self._envelope = envelope
        self._relay = relay
        self.places = Places(lines, roster, settings.hold)
        self._leaving = Group()

    @contextmanager
    def submit(
        self,
        holder: Holder,
        tier: str,
        model: Model,
        body: dict[str, Any],
        client: Client,
        job_id: str | None = None,
        kind: Kind | None = None,
    ) -> Iterator[Answer]:
        """Run a request as a job of `tier`, with this id or a new one; its `kind` is the model's if none is given.
        Leaving the context before the job's end cancels the job, at once or after the client's grace, if it has
        not come back.

        Raises ModelUnavailable, QueueFull, RateLimited, QuotaExceeded or QueueUnreachable.
        """
        kind = kind or model.kind
        with traced(model.id, kind) as trace:
            terms, reader = self._terms(holder, tier, model, kind, body, apart=client.apart), _reader()
            job = self._job(job_id or new_job_id(), holder, tier, model, body, client, kind, trace.parent)
            # The inbox is open before the job is enqueued: pub/sub drops messages nobody hears.
            with self._relay.inbox(job.id) as inbox:
                chunks = self._relay.follow(inbox, job.deadline, client.presence)
                answer = trace.answer = Answer(_record(job), chunks, inbox, self.places, resumable=client.numbers)
                with self._reading(answer, reader, client):
                    answer.limits = self._admit(job, reader, terms, trace)
                    # The queue has it now: a long prompt is not kept here for as long as its answer takes.
                    del job, body
                    yield answer

    def resume(self, holder: Holder, job_id: str, after: int, client: Client) -> AbstractContextManager[Answer]:
        """The answer of a job that runs or has ended, from the chunk that follows number `after`.

        Raises NotFound or QueueUnreachable. Leaving the context is as for `submit`.
        """
        return self._join(holder, job_id, client, after=after, resumable=True)

    def rejoin(self, holder: Holder, job_id: str, client: Client) -> AbstractContextManager[Answer]:
        """As `resume` from the beginning, and in the shape that `submit` gives this client.

        Raises GivenUp, too.
        """
        return self._join(holder, job_id, client, after=0, resumable=client.numbers, standing=True)

    @contextmanager
    def _join(
        self, holder: Holder, job_id: str, client: Client, *, after: int, resumable: bool, standing: bool = False
    ) -> Iterator[Answer]:
        job, reader = self.find(holder, job_id), _reader()
        with self._relay.inbox(job.id) as inbox:
            with reaching_queue():
                claimed = self._log.claim(job.id, self._gateway_id, reader, standing=standing)
            if standing and not claimed:
                raise GivenUp
            inbox.lag()
            chunks = self._relay.follow(inbox, job.deadline, client.presence, after)
            answer = Answer(job, chunks, inbox, self.places, after=after, resumable=resumable)
            with self._reading(answer, reader, client):
                yield answer

    def fate(self, job_id: str) -> Fate:
        """What has become of a job, as JobLog.fate. Raises redis errors."""
        return self._log.fate(job_id)

    def find(self, holder: Holder, job_id: str) -> Record:
        """A job of this account. Raises NotFound or QueueUnreachable."""
        with reaching_queue():
            job = self._log.record(job_id)
        if job is None or job.account != holder.account:
            raise NotFound("No such job of yours; a job is kept for some minutes after its end.")
        return job

    def pages(self, job: Record) -> Iterator[list[Chunk]]:
        """All chunks of a job so far, some at a time: others have their turns between them.

        Raises QueueUnreachable.
        """
        turn = Turn()
        with reaching_queue():
            for chunks in self._log.pages(job.id):
                yield chunks
                # Where Redis has the next page at hand, reading it waits for nobody.
                turn.give_way()

    def cancel(self, job: Record) -> None:
        """Cancel a job, whoever reads it. Raises QueueUnreachable."""
        with reaching_queue():
            self._log.cancel(job.id, job.model)

    def run(self) -> None:
        """Cancel, until killed, jobs whose clients have not come back; every gateway does it for all."""
        while True:
            gevent.sleep(SWEEP)
            try:
                self._log.sweep()
            except RedisError as error:
                log.warning("cannot look for clients that have left: %s", error)

    def tend(self, models: Iterable[str]) -> None:
        """Look after jobs that wait, until killed; every gateway does it for all."""
        while True:
            gevent.sleep(TEND)
            try:
                self._lines.tend(models, hold=self._settings.hold)
            except RedisError as error:
                log.warning("cannot look after jobs that wait: %s", error)

    def settle(self) -> None:
        """Wait a moment for jobs that are being cancelled."""
        self._leaving.join(timeout=5)

    @contextmanager
    def _reading(self, answer: Answer, reader: str, client: Client) -> Iterator[None]:
        refused = False
        try:
            yield
        except REFUSALS:
            refused = True
            raise
        finally:
            answer.close()
            # Also after a failure: the job may be in the queue all the same, if only the reply was lost.
            if answer.end is None and not refused:
                self._leaving.spawn(self._leave, answer.job, reader, client.away)

    def _job(
        self,
        job_id: str,
        holder: Holder,
        tier: str,
        model: Model,
        body: dict[str, Any],
        client: Client,
        kind: Kind,
        trace: str,
    ) -> Job:
        now = time.time()
        return Job(
            id=job_id,
            model=model.id,
            kind=kind,
            body=body,
            account=holder.account,
            tier=tier,
            reply_to=self._gateway_id,
            created=now,
            deadline=now + (client.timeout or self._settings.job_timeout),
            request=request_id.current(),
            trace=trace,
        )

    def _terms(
        self, holder: Holder, tier: str, model: Model, kind: Kind, body: dict[str, Any], *, apart: bool
    ) -> Terms:
        """On what a request is admitted, if it is."""
        cost = costs.most(model, kind, body)
        scopes = [Scope(holder.account, self._tiers.find(holder.tier).limits)]
        if holder.limits:
            scopes.append(Scope(holder.key, holder.limits))
        return Terms(
            tier=self._tiers.find(tier),
            key=holder.key,
            rates=cost.rates,
            units=cost.units,
            images=cost.images,
            scopes=[] if apart else scopes,
            apart=apart,
        )

    def _admit(self, job: Job, reader: str, terms: Terms, trace: Trace) -> dict[str, str]:
        """Have the job run, or wait in its line; the headers that tell what is left to its account."""
        message = self._envelope.message(job, terms.tier.priority)
        with reaching_queue():
            self._check_pool(job.model)
            self._check_wait(job, terms)
            bound = self._settings.queue_bound
            trace.note()
            verdict = self._lines.admit(job, message, reader, terms, most_waiting=bound, now=time.time())
            trace.note()
            if verdict.refusal:
                raise self._refusal(job, terms, verdict)
        log.info("job %s %s: admitted, tier %s, request %s", job.id, job.model, job.tier, request_id.current())
        return limits.headers(verdict, terms.scopes)

    def _check_pool(self, model: str) -> None:
        if not (self._settings.hold_unserved or self._roster.serves(model)):
            raise ModelUnavailable(f"No worker serves '{model}' at the moment.", param="model")
        loading = None if self._roster.ready(model) else self._roster.loading(model)
        if loading is not None and loading > self._settings.hold:
            raise ModelUnavailable(f"'{model}' is loading, {about(loading)}.", param="model").after(loading)

    def _check_wait(self, job: Job, terms: Terms) -> None:
        longest = terms.tier.longest_wait
        wait = self.places.wait_of(job.model, job.tier, job.account) if longest else None
        if longest and wait is not None and wait > longest:
            told = f"It would take {about(wait)} until your job is begun."
            raise QueueFull(told, param="model").after(wait - longest)

    def _refusal(self, job: Job, terms: Terms, verdict: Verdict) -> RequestError:
        over = verdict.waiting - min(terms.tier.most_waiting, self._settings.queue_bound) + 1
        wait = self.places.wait(job.model, job.tier, max(1, over))
        ready = self._roster.ready(job.model)
        seconds = sum(worker.job_seconds for worker in ready) / len(ready) if ready else None
        return limits.refusal(verdict, terms, wait, seconds)

    def _leave(self, job: Record, reader: str, grace: float) -> None:
        """Its client has left a job. In a greenlet of its own: the one that served it may be at its end."""
        leave = partial(self._log.leave, job.id, job.model, reader)
        later = partial(self._log.leave_later, job.id, job.model, reader, grace)
        try:
            patiently(later if grace else leave, self._settings.outage_timeout)
        except QueueUnreachable as error:
            log.warning("job %s could not be cancelled: %s", job.id, error.__cause__)


def _record(job: Job) -> Record:
    """What is known of a job as it is admitted."""
    return Record(
        id=job.id,
        model=job.model,
        kind=job.kind,
        account=job.account,
        tier=job.tier,
        state="queued",
        attempt=0,
        created=job.created,
        deadline=job.deadline,
    )


def _reader() -> str:
    return uuid.uuid4().hex[:12]
