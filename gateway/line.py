"""Who waits for a model, in the order in which they are served, and for how long. Between hops 2 and 4."""

import math
import time
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.roster import Roster
from shared.lines import Account, Lines, Snapshot, TierLine

FRESH = 1.0  # seconds
ASKED_AGAIN = 0.2  # seconds after which a job that is missed is looked for again
NO_JOBS = Snapshot(capacity=0)


class Place(NamedTuple):
    """Where a job stands: 1 is served next. `seconds` is how long it may take until it is, if that is known;
    `loading` tells that no worker is ready, but one will be."""

    position: int
    seconds: float | None
    loading: bool = False


class _Spot(NamedTuple):
    """A job's number among all, among those of its tier, and how many of these are served a second (or 0)."""

    position: int
    rank: int
    pace: float


class Places:
    """The lines before all models, each read at most once a second; more often for a job that is not there yet."""

    def __init__(self, lines: Lines, roster: Roster) -> None:
        self._lines = lines
        self._roster = roster
        self._snapshots: dict[str, Snapshot] = {}
        self._spots: dict[str, dict[str, _Spot]] = {}
        self._read: dict[str, float] = {}

    def place(self, model: str, job_id: str) -> Place | None:
        """None if the job does not wait, or it is not known."""
        try:
            self._look(model)
            if job_id not in self._spots[model]:
                # It may have come since.
                self._look(model, ASKED_AGAIN)
            spot = self._spots[model].get(job_id)
            return None if spot is None else self._place(model, spot)
        except RedisError:
            return None

    def wait(self, model: str, tier: str, more: int = 1) -> float | None:
        """Seconds until so `more` jobs of a tier have been served; None if that is not known."""
        try:
            line = self._line(model, tier)
        except RedisError:
            return None
        return self._seconds(model, more, more, line.pace if line else 0.0)

    def wait_of(self, model: str, tier: str, account: str) -> float | None:
        """Seconds that one more job of this account would wait; None if that is not known, or nobody waits."""
        try:
            line = self._line(model, tier)
        except RedisError:
            return None
        if line is None or not line.accounts:
            return None
        more = _ahead(line, account) + 1
        return self._seconds(model, more, more, line.pace)

    def _line(self, model: str, tier: str) -> TierLine | None:
        """The lines of a tier; None if it has had none lately. Raises redis errors."""
        self._look(model)
        return next((line for line in self._snapshots[model].tiers if line.name == tier), None)

    def _place(self, model: str, spot: _Spot) -> Place:
        seconds = self._seconds(model, spot.position, spot.rank, spot.pace)
        if self._roster.ready(model):
            return Place(spot.position, seconds)
        loading = self._roster.loading(model)
        return Place(spot.position, None if loading is None else round(loading + (seconds or 0), 1), loading=True)

    def _seconds(self, model: str, position: int, rank: int, pace: float) -> float | None:
        """By the pace at which jobs of the tier are served; else by that of the workers, all busy."""
        if pace:
            return round(rank / pace, 1)
        workers = self._roster.ready(model)
        together = sum(worker.capacity / worker.job_seconds for worker in workers if worker.job_seconds)
        return round(position / together, 1) if together else None

    def _look(self, model: str, fresh: float = FRESH) -> None:
        now = time.monotonic()
        if now - self._read.get(model, -math.inf) >= fresh:
            self._read[model] = now  # first: whoever asks meanwhile has the lines as they were
            self._snapshots.setdefault(model, NO_JOBS)
            self._spots.setdefault(model, {})
            self._snapshots[model] = snapshot = self._lines.snapshot(model)
            self._spots[model] = dict(_spots(snapshot))


def _spots(snapshot: Snapshot) -> Iterator[tuple[str, _Spot]]:
    """Jobs in the order in which they are served, as long as nobody comes or leaves."""
    position, ranks = 0, dict.fromkeys((line.name for line in snapshot.tiers), 0)
    by_priority = sorted(snapshot.tiers, key=lambda line: line.priority)
    for _, lines in groupby(by_priority, key=lambda line: line.priority):
        starts = [_starts(n, each, account) for n, each in enumerate(lines) for account in each.accounts]
        for *_, job_id, line in merge(*starts, key=lambda start: start[:3]):
            position += 1
            ranks[line.name] += 1
            yield job_id, _Spot(position, ranks[line.name], line.pace)


def _starts(number: int, line: TierLine, account: Account) -> Iterator[tuple[float, int, str, str, TierLine]]:
    """An account's jobs with the virtual times of their starts. Of equal ones the first tier goes first, and in it
    the account whose id does, as in the scripts; and as there one is added to the other, for the same rounding."""
    start = account.start
    for job_id in account.jobs:
        yield start, number, account.id, job_id, line
        start += 1 / line.weight


def _ahead(line: TierLine, account: str) -> int:
    """How many jobs of the tier would be served before one more of this account."""
    mine = next((each for each in line.accounts if each.id == account), None)
    start = mine.start + len(mine.jobs) / line.weight if mine else min(each.start for each in line.accounts)
    before = (math.floor((start - each.start) * line.weight) + 1 for each in line.accounts)
    return sum(max(0, min(len(each.jobs), count)) for each, count in zip(line.accounts, before, strict=True))
