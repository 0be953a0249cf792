"""Hops 2 to 4: admission to the lines of jobs that wait before each model, and what becomes of those in them.

Every account of a tier has a line of its own before a model. Scripts move jobs from there into the model's queue
as its workers have room: whoever makes room (a job that ends, a worker that has become ready) or needs it (a job
just admitted) does it in the same step. scripts/lines.lua tells how the next one is chosen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import msgspec
import redis

from shared import queues
from shared import redis_keys as keys
from shared.errors import ModelUnavailable, Timeout
from shared.messages import Job, ending
from shared.scripts import script
from shared.tiers import Limits, Tier

OVERDUE = 60.0  # seconds after a job's deadline in which its worker ends it
KEPT = 180  # seconds after that deadline, at least, for which what is known of a job is kept if nobody ends it
WINDOWS = {"minute": 60, "day": 86_400}  # seconds; they begin at multiples of them, in Unix time

Refusal = Literal["", "requests", "units", "images", "concurrent", "queue", "letter"]


class Rates(msgspec.Struct, frozen=True):
    """Units for one prompt token, one completion token and one denoising step of a job."""

    prompt: int = 1
    completion: int = 1
    step: int = 0


class Scope(msgspec.Struct, frozen=True):
    """Whose limits count: an account, or a key that has some of its own."""

    id: str
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what a job is admitted: `units` and `images` are the most that it can cost. One that stands `apart` does
    not count among those that its model's pool is scaled by."""

    tier: Tier
    key: str
    rates: Rates
    units: int
    images: int
    scopes: Sequence[Scope]
    apart: bool = False


class Window(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for in a window of time so far; it `resets` in so many seconds."""

    scope: str
    seconds: int
    resets: float
    requests: int
    units: int
    images: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`refusal` says what is exhausted: then that is in `windows[at]`, if it is any of their numbers.

    `waiting` is how many jobs of the tier wait for the model, `running` how many the account has open, or the key
    if it is that which has too many.
    """

    refusal: Refusal
    waiting: int
    running: int
    at: int
    windows: list[Window] = []


class Account(msgspec.Struct, frozen=True, array_like=True):
    """One account's line: the virtual time of its next start, and the ids of its jobs."""

    id: str
    start: float
    jobs: list[str]


class TierLine(msgspec.Struct, frozen=True, kw_only=True):
    """A tier's lines before a model. `credit` is what has become due of its reserved share, in jobs; `pace` is how
    many jobs a second are served, 0 if that is not known."""

    name: str
    priority: int
    weight: float
    reserved: float
    dispatched: int
    pace: float
    credit: float = 0
    accounts: list[Account] = []


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The lines before a model. `capacity` is how many jobs its ready workers take at once, `cold` for how many
    seconds there has been none."""

    capacity: int
    cold: float = 0
    tiers: list[TierLine] = []


class Lines:
    """The gateway's end. Raises redis errors. `log_ttl` (seconds) is how long a log is kept after its end."""

    def __init__(self, client: "redis.Redis", *, log_ttl: int) -> None:
        self._redis = client
        self._log_ttl = log_ttl
        self._admit = client.register_script(script("admit", "lines"))
        self._tend = client.register_script(script("tend", "lines", "ending"))
        self._waiting = client.register_script(script("waiting", "lines"))
        self._snapshot = client.register_script(script("snapshot", "lines"))
        self._stranded = client.register_script(script("stranded", "lines"))
        self._ends = [ending("failed", e.failure()) for e in (Timeout(), ModelUnavailable(param="model"))]

    def admit(
        self,
        job: Job,
        message: str,
        reader: str,
        terms: Terms,
        *,
        most_waiting: int,
        now: float,
        letter: str | None = None,
    ) -> Verdict:
        """Admit a job and enqueue it, or have it wait in line, in one step; may be repeated.

        `message` is its Celery message (queues.Envelope), `reader` who reads its answer (JobLog.claim), and
        `most_waiting` a bound for all tiers' own: how many jobs of one may wait for a model. The job may take the
        place of one that was given up: then of its `letter`, too, which is forgotten.
        """
        tier = terms.tier
        asked = {
            "id": job.id,
            "model": job.model,
            "tier": {
                "name": tier.id,
                "priority": tier.priority,
                "weight": tier.weight,
                "reserved": tier.reserved,
            },
            "account": job.account,
            "deadline": job.deadline,
            "ttl": max(1, int(job.deadline - now)) + max(self._log_ttl, KEPT),
            "bound": min(tier.most_waiting, most_waiting),
            "units": terms.units,
            "images": terms.images,
            "scopes": [_scope(scope) for scope in terms.scopes],
            "apart": terms.apart,
        } | ({} if letter is None else {"letter": letter})
        record: dict[str, Any] = {
            "id": job.id,
            "state": "queued",
            "attempt": 0,
            "model": job.model,
            "kind": job.kind,
            "account": job.account,
            "key": terms.key,
            "tier": job.tier,
            "reply_to": job.reply_to,
            "reader": reader,
            "created": job.created,
            "deadline": job.deadline,
            "rates": f"{terms.rates.prompt} {terms.rates.completion} {terms.rates.step}",
            "units": terms.units,
            "images": terms.images,
            "streams": int(bool(job.body.get("stream"))),
            "message": message,
            "list": queues.list_of(job.model, tier.priority),
        }
        found: Any = self._admit(args=[msgspec.json.encode(asked), *chain.from_iterable(record.items())])
        return _VERDICT.decode(found)

    def used(self, scope: str, now: float) -> tuple[int, list[Window]]:
        """How many jobs an account or a key has open, and what it has asked for in the windows of this moment."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(keys.running(scope))
            for seconds in WINDOWS.values():
                pipe.hmget(keys.limit(scope, seconds, int(now // seconds)), "requests", "units", "images")
            running, *counted = pipe.execute()
        windows = [
            Window(scope, seconds, seconds - now % seconds, *(int(count or 0) for count in counts))
            for seconds, counts in zip(WINDOWS.values(), counted, strict=True)
        ]
        return running, windows

    def tend(self, models: Iterable[str], *, hold: float) -> int:
        """End the jobs whose time is over, and those that have waited for `hold` seconds without a worker; have
        others go on if there is room. How many were ended."""
        with self._redis.pipeline(transaction=False) as pipe:
            for model in models:
                self._tend(args=[model, self._log_ttl, OVERDUE, hold, *self._ends], client=pipe)
            return sum(pipe.execute())

    def snapshot(self, model: str) -> Snapshot:
        """The lines as they are now."""
        found: Any = self._snapshot(args=[model])
        return _SNAPSHOT.decode(found)

    def waiting(self, models: Sequence[str]) -> list[int]:
        """How many jobs wait for each of these models, in line or for a worker to take them."""
        with self._redis.pipeline(transaction=False) as pipe:
            for model in models:
                self._waiting(keys=queues.lists(model), args=[model], client=pipe)
            return list(pipe.execute())

    def stranded(self, model: str, deadline: float) -> list[str]:
        """Ids of jobs that were dispatched, and have no end and no message, of those whose deadline comes before
        this time.

        A message that is just being delivered is seen in neither place: only what is stranded again a moment
        later has none.
        """
        names = [keys.lease(model), *queues.lists(model)]
        found: Any = self._stranded(keys=names, args=[model, deadline])
        return [name.decode() for name in found]

    def enqueue_again(self, job_id: str, latest: float) -> bool:
        """Put a job's message into its queue once more, if it was created before this time and has no end."""
        found: Any = self._redis.hmget(keys.job(job_id), ["message", "list", "created"])
        message, name, created = found
        if message is None or float(created) >= latest:
            return False
        self._redis.lpush(name.decode(), queues.renewed(message))
        return True


def _scope(scope: Scope) -> list[Any]:
    limits = scope.limits
    windows = [
        [
            seconds,
            *(_bound(getattr(limits, f"{what}_per_{name}")) for what in ("requests", "units", "images")),
        ]
        for name, seconds in WINDOWS.items()
    ]
    return [scope.id, _bound(limits.concurrent_jobs), windows]


def _bound(limit: int | None) -> int:
    return -1 if limit is None else limit


# A script's numbers have 14 digits and may come as 1e+14; its texts have all.
_VERDICT = msgspec.json.Decoder(Verdict, strict=False)
_SNAPSHOT = msgspec.json.Decoder(Snapshot, strict=False)
