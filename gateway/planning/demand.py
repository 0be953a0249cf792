"""What is asked of each model: from the ledger's rows to requests, and from them to replicas, hour by hour."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from math import isnan, nan
from statistics import fmean
from typing import Any

from gateway.planning.pools import DAY, HOUR, WEEK, Arrivals, Pool
from shared.errors import SetupError
from shared.ledger import CANARIES

HOURS = 168  # of a week
LONGEST = 366 * DAY  # that can be planned from
SKEW = 60.0  # seconds by which clocks may differ
MILLISECONDS = 1e11  # Unix seconds of the year 5138
ENDLESS = 1e15
MONDAY = 4 * DAY  # the first of Unix time


class UsageError(SetupError):
    """Rows that say nothing of when jobs came and for how long they were served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """One hour's demand. `work` is how many jobs are in service at the mean; `replicas` are by share of requests:
    a sorted list of what each needs to begin at once."""

    requests: int
    work: float
    needs: tuple[int, ...]

    def needing(self, replicas: int) -> float:
        """How many of the requests begin at once with so many replicas only, or with more."""
        if not self.needs:
            return 0.0
        return self.requests * (1 - bisect_left(self.needs, replicas) / len(self.needs))

    def need(self, share: float) -> int:
        """The replicas with which so large a share of the requests begins at once."""
        return self.needs[round(share * (len(self.needs) - 1))] if self.needs else 0


class Usage:
    """Jobs of each model: their times alone, as there may be millions."""

    def __init__(self) -> None:
        self._times: dict[str, array[float]] = {}
        self._count = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of the ledger, or of a table; those of canaries are left out. Raises UsageError."""
        for row in rows:
            self._count += 1
            try:
                times = _times(row)
            except ValueError as error:
                raise UsageError(f"row {self._count}: {error}") from None
            if row.get("account") != CANARIES:
                self._times.setdefault(str(row["model"]), array("d")).extend(times)

    def __len__(self) -> int:
        return sum(len(times) // len(TIMES) for times in self._times.values())

    def begin(self) -> float:
        """When the first job came, in Unix seconds. There is one. Raises UsageError if others came years later."""
        begin = min(min(times[:: len(TIMES)]) for times in self._times.values())
        end = max(max(times[2 :: len(TIMES)]) for times in self._times.values())
        if end - begin > LONGEST:
            raise UsageError(
                f"the jobs are from {_day(begin)} to {_day(end)}: give those of {LONGEST // DAY:.0f} days at most"
            )
        return begin

    def rows(self) -> Iterator[dict[str, Any]]:
        """As they may be added again."""
        for model, times in self._times.items():
            for job in _jobs(times):
                known = (None if isnan(time) else time for time in job)
                yield {"model": model} | dict(zip(TIMES, known, strict=True))

    def arrivals(self, origin: float, name: Callable[[str], str] = str) -> dict[str, Arrivals]:
        """The requests of each model, in seconds after `origin` (Unix seconds), the oldest first; `name` makes one
        of a model's names.

        A job that never began is taken for one of usual length.
        """
        found: dict[str, array[float]] = {}
        for model, times in sorted(self._times.items()):
            found.setdefault(name(model), array("d")).extend(times)
        return {model: _arrivals(times, origin) for model, times in found.items()}


TIMES = ("created", "begun", "ended")


def _day(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return f"{time:g} s"


def _times(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """When a job came, was begun (nan, if it never was) and ended. Raises ValueError, which names the field."""
    for name in ("model", *TIMES):
        if name not in row or (name != "begun" and row[name] in (None, "")):
            raise ValueError(f"{name}: is missing; a row has model, and {', '.join(TIMES)} in Unix seconds")
    created, begun, ended = (_time(name, row[name]) for name in TIMES)
    if ended < created - SKEW or begun > ended + SKEW:
        raise ValueError(f"ended: is before {'created' if ended < created - SKEW else 'begun'}")
    return created, begun, ended


def _time(name: str, value: Any) -> float:
    if value in (None, ""):
        return nan
    try:
        time = float(value) if not isinstance(value, bool) else nan
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(str(value))
            time = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except ValueError:
            time = nan
    if not 0 <= time < ENDLESS:
        raise ValueError(
            f"{name}: should be in Unix seconds, or such as 2026-01-31T12:00:00Z, got {str(value)[:40]!r}"
        )
    if time > MILLISECONDS:
        raise ValueError(f"{name}: should be in seconds; {str(value)[:40]} looks like milliseconds")
    return time


def _arrivals(times: "array[float]", origin: float) -> Arrivals:
    jobs = sorted(_jobs(times))
    services = [nan if isnan(begun) else max(0.0, ended - begun) for _, begun, ended in jobs]
    known = [service for service in services if not isnan(service)]
    usual = fmean(known) if known else 1.0
    comes = [created - origin for created, _, _ in jobs]
    return Arrivals(comes, [usual if isnan(service) else service for service in services])


def _jobs(times: "array[float]") -> Iterator[tuple[float, float, float]]:
    return zip(times[::3], times[1::3], times[2::3], strict=True)


def monday(unix: float) -> float:
    """When its week began, in Unix seconds, by UTC."""
    return (unix - MONDAY) // WEEK * WEEK + MONDAY


def needed(pool: Pool, arrivals: Arrivals, wait: float = 0.0, pace: float = 1.0) -> list[int]:
    """For each request, the replicas with which it begins within the wait, if all before it began at once."""
    ends: list[float] = []
    needs = []
    for comes, service in zip(*arrivals, strict=True):
        while ends and ends[0] <= comes + wait:
            heappop(ends)
        needs.append(len(ends) // pool.slots + 1)
        heappush(ends, comes + service * pace)
    return needs


def by_hour(pool: Pool, arrivals: Arrivals, begin: float, end: float) -> list[Hour]:
    """The demand that each hour of the week may expect, Monday's first: what all days like it had.

    Working days are alike, and so are the two of the weekend, if there are as many as a week in what is known.
    """
    kinds = 2 if end - begin >= WEEK else 1
    needs: dict[tuple[bool, int], list[int]] = {}
    work: dict[tuple[bool, int], float] = {}
    for (comes, service), need in zip(zip(*arrivals, strict=True), needed(pool, arrivals), strict=True):
        place = _kind(comes, kinds)
        needs.setdefault(place, []).append(need)
        work[place] = work.get(place, 0.0) + service
    spans = _seconds(begin, end, kinds)
    hours: dict[tuple[bool, int], Hour] = {}
    for place in {_kind(hour * HOUR, kinds) for hour in range(HOURS)}:
        span = max(spans.get(place, 0.0), 1.0)
        found = sorted(needs.get(place, ()))
        # Little's law: what comes in a second, times the seconds that each takes.
        hours[place] = Hour(
            requests=round(len(found) * HOUR / span), work=work.get(place, 0.0) / span, needs=tuple(found)
        )
    return [hours[_kind(hour * HOUR, kinds)] for hour in range(HOURS)]


def _kind(time: float, kinds: int) -> tuple[bool, int]:
    return kinds > 1 and time % WEEK >= 5 * DAY, int(time % DAY // HOUR)


def _seconds(begin: float, end: float, kinds: int) -> dict[tuple[bool, int], float]:
    """How much of each kind of hour there was."""
    spans: dict[tuple[bool, int], float] = {}
    time = begin
    while time < end:
        until = min(end, (time // HOUR + 1) * HOUR)
        place = _kind(time, kinds)
        spans[place] = spans.get(place, 0.0) + until - time
        time = until
    return spans
