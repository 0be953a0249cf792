"""Who waits for a model, in the order in which they are served, and for how long. Between hops 2 and 4."""

import math
import time
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.roster import Roster
from gateway.turns import Turn
from shared.joblog import Record
from shared.lines import Lines, Snapshot, TierLine

FRESH = 1.0  # seconds
ASKED_AGAIN = 0.2  # seconds after which a job that is missed is looked for again
FAR = 1.25  # times as long as each other: two estimates that do not agree
MOST_MISSED = 10_000  # jobs of which it is remembered that they do not wait
MOST_CREDIT = 2  # as in scripts/lines.lua


class Place(NamedTuple):
    """Where a job stands: 1 is served next. `seconds` is how long it may take until it is, if that is known.

    Where no worker is ready, `loading` tells whether one will be, and `held` is for how many more seconds the job
    waits for one before it is given up.
    """

    position: int
    seconds: float | None
    loading: bool = False
    held: float | None = None


class _Spot(NamedTuple):
    """A job's number among all, among those of its tier, and how many of these are served a second (or 0)."""

    position: int
    rank: int
    pace: float


class _Known:
    """The lines before a model as they were last `read`, and where its jobs stood then; `tried` is when that was
    last begun."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(capacity=0)
        self.spots: dict[str, _Spot] = {}
        self.read = self.tried = -math.inf


class Places:
    """The lines before all models, each read at most once a second; more often for a job that is not there yet.

    `hold` is how many seconds jobs wait for a model that has no ready worker.
    """

    def __init__(self, lines: Lines, roster: Roster, hold: float) -> None:
        self._lines = lines
        self._roster = roster
        self._hold = hold
        self._models: dict[str, _Known] = {}
        self._missed: dict[str, float] = {}

    def place(self, job: Record) -> Place | None:
        """None if the job does not wait, or that is not known."""
        try:
            known = self._find(job)
            spot = known.spots.get(job.id)
            return None if spot is None else self._place(job, known, spot)
        except RedisError:
            return None

    def wait(self, model: str, tier: str, more: int = 1) -> float | None:
        """Seconds until so `more` jobs of a tier have been served; None if that is not known."""
        try:
            return self._more(model, more, self._line(model, tier))
        except RedisError:
            return None

    def wait_of(self, model: str, tier: str, account: str) -> float | None:
        """Seconds that one more job of this account would wait; None if that is not known, or nobody waits."""
        try:
            line = self._line(model, tier)
            if line is None or not line.accounts:
                return None
            return self._more(model, _ahead(line, account) + 1, line)
        except RedisError:
            return None

    def _more(self, model: str, jobs: int, line: TierLine | None) -> float | None:
        """How many of other tiers are served before so many of this one, its pace alone tells.

        Raises redis errors.
        """
        return _tenths(jobs / line.pace if line and line.pace else self._worked(model, jobs))

    def _line(self, model: str, tier: str) -> TierLine | None:
        """The lines of a tier; None if it has had none lately. Raises redis errors."""
        return next((line for line in self._look(model, FRESH).snapshot.tiers if line.name == tier), None)

    def _find(self, job: Record) -> _Known:
        """The lines as they were once this job had come, if it can be in them. Raises redis errors."""
        known, now = self._models.get(job.model), time.monotonic()
        if known and job.id not in known.spots and known.read >= self._missed.get(job.id, math.inf):
            return known  # it has left its line, and no job comes back to it
        known = self._look(job.model, FRESH if known and job.id in known.spots else ASKED_AGAIN)
        if job.id not in known.spots:
            if len(self._missed) >= MOST_MISSED:
                self._missed.clear()  # each of them costs one more look
            self._missed.setdefault(job.id, now)
        return known

    def _place(self, job: Record, known: _Known, spot: _Spot) -> Place:
        seconds = self._seconds(job.model, spot)
        if self._roster.ready(job.model):
            return Place(spot.position, seconds)
        held = self._held(job, known)
        if not self._roster.loads(job.model):
            return Place(spot.position, None, held=held)
        loading = self._roster.loading(job.model)
        until = None if loading is None else _tenths(loading + (seconds or 0))
        return Place(spot.position, until, loading=True, held=held)

    def _held(self, job: Record, known: _Known) -> float:
        """It waits for a worker since it came, or since there is none: as scripts/tend.lua has it."""
        now = time.time()
        waited = min(now - job.created, known.snapshot.cold + time.monotonic() - known.read)
        return round(max(0.0, min(self._hold - waited, job.deadline - now)), 1)

    def _seconds(self, model: str, spot: _Spot) -> float | None:
        """By the pace of the last jobs of the tier, some 64, and by how long the last ten of each worker took.
        Where the two are far apart, other jobs come than before, and the truth is between them."""
        served = spot.rank / spot.pace if spot.pace else None
        worked = self._worked(model, spot.position)
        if served and worked and max(served / worked, worked / served) > FAR:
            return _tenths(math.sqrt(served * worked))
        return _tenths(served or worked)

    def _worked(self, model: str, jobs: int) -> float | None:
        """Seconds until the workers have begun so many jobs, if all are busy and go on as they did."""
        workers = self._roster.ready(model)
        together = sum(worker.capacity / worker.job_seconds for worker in workers if worker.job_seconds)
        return jobs / together if together else None

    def _look(self, model: str, fresh: float) -> _Known:
        """The lines, read again if that was begun so many seconds ago. Raises redis errors."""
        known, now = self._models.setdefault(model, _Known()), time.monotonic()
        if now - known.tried >= fresh:
            known.tried = now  # first: whoever asks meanwhile has the lines as they were
            snapshot = self._lines.snapshot(model)
            spots, turn = {}, Turn()
            for job_id, spot in _spots(snapshot):
                spots[job_id] = spot
                turn.give_way()
            if now > known.read:
                known.snapshot, known.spots, known.read = snapshot, spots, now
        return known


def about(seconds: float) -> str:
    """A time as people are told it."""
    return f"about {seconds:.0f} s" if seconds >= 1 else "less than a second"


def _tenths(seconds: float | None) -> float | None:
    """Never 0: what is to come takes some time."""
    return None if seconds is None else max(0.1, round(seconds, 1))


def _spots(snapshot: Snapshot) -> Iterator[tuple[str, _Spot]]:
    """Jobs in the order in which they are served, as long as nobody comes or leaves: what scripts/lines.lua does
    one by one, with the same numbers in the same order, for the same rounding."""
    waiting = [_Waiting(line) for line in snapshot.tiers if line.accounts]
    position = 0
    while waiting:
        served = min(waiting, key=_Waiting.turn)  # the first of equals
        position += 1
        job_id = served.serve()
        yield job_id, _Spot(position, served.rank, served.pace)
        for each in waiting:
            each.credit = min(MOST_CREDIT, each.credit + each.reserved)
        served.credit = max(0, served.credit - 1)
        if not served.ring:
            waiting.remove(served)


class _Waiting:
    """A tier's lines while jobs are served: its accounts by the virtual times of their next starts. Of equal ones
    the account goes first whose id does."""

    def __init__(self, line: TierLine) -> None:
        self.ring = [(account.start, account.id, account.jobs, 0) for account in line.accounts]
        heapify(self.ring)
        self.rank = 0
        self.pace = line.pace
        self.credit = line.credit
        self.reserved = line.reserved
        self._priority = line.priority
        self._step = 1 / line.weight

    def turn(self) -> tuple[bool, int, float]:
        """The tier with the lowest is served: one whose reserved share is due before all others."""
        return self.credit < 1, self._priority, self.ring[0][0]

    def serve(self) -> str:
        """Take the next job."""
        start, account, jobs, at = self.ring[0]
        if at + 1 < len(jobs):
            heapreplace(self.ring, (start + self._step, account, jobs, at + 1))
        else:
            heappop(self.ring)
        self.rank += 1
        return jobs[at]


def _ahead(line: TierLine, account: str) -> int:
    """How many jobs of the tier would be served before one more of this account."""
    mine = next((each for each in line.accounts if each.id == account), None)
    start = mine.start + len(mine.jobs) / line.weight if mine else min(each.start for each in line.accounts)
    before = (math.floor((start - each.start) * line.weight) + 1 for each in line.accounts)
    return sum(max(0, min(len(each.jobs), count)) for each, count in zip(line.accounts, before, strict=True))
