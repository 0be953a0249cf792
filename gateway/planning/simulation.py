"""A week replayed against pools that are scaled, in steps of three seconds. All times are in seconds.

A replica holds its GPUs from when it is asked for: while it starts, while it serves, and while it drains. Requests
begin in the order they came, wherever there is room, and wait for as long as it takes.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from gateway.planning.autoscaler import POLL, Fixed, Scaler
from gateway.planning.pools import DAY, HOUR, Arrivals, Pool

STEP = 3.0  # what times are rounded to
LONGEST_TAIL = DAY  # after the end, for what still waits then
NEVER = 10**9  # steps: who has not begun when nobody looks any more
LONGEST_DRAIN = 120.0  # CROFAI_DRAIN_TIMEOUT: then others go on with what a replica has not finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one model's requests: how many waited for how long, and what was spent until the end."""

    waits: Mapping[float, int]
    gpu_hours: float
    most_replicas: int

    @property
    def requests(self) -> int:
        return sum(self.waits.values())

    def late(self, wait: float) -> int:
        return sum(count for waited, count in self.waits.items() if waited > wait)


def simulate(
    pools: Mapping[str, Pool],
    arrivals: Mapping[str, Arrivals],
    scalers: Mapping[str, Scaler],
    *,
    begin: float = 0.0,
    end: float,
    gpus: int | None = None,
) -> dict[str, Outcome]:
    """Each model's outcome under its scaler. `gpus` are all that there are; None is enough of them."""
    prepared = {model: prepare(each, begin, end) for model, each in arrivals.items()}
    return replay(pools, prepared, scalers, gpus=gpus)


def replay(
    pools: Mapping[str, Pool],
    weeks: Mapping[str, "Prepared"],
    scalers: Mapping[str, Scaler],
    *,
    gpus: int | None = None,
) -> dict[str, Outcome]:
    """The same for requests that are prepared, all for the same time."""
    budget = Budget(math.inf if gpus is None else gpus)
    runs = [Run(each, weeks[model], scalers[model], budget) for model, each in pools.items()]
    steps, tail = int(POLL / STEP), int(LONGEST_TAIL / STEP)
    last = max((run.week.last for run in runs), default=0)
    step = 0
    while step < last or any(run.open_jobs for run in runs):
        if step >= last + tail:
            break
        # Who has been short of GPUs for longest is served first, as pods that wait are.
        for run in sorted(runs, key=lambda run: run.short_since) if budget.short else runs:
            run.scale(step)
        for run in runs:
            run.advance(step, step + steps)
        step += steps
    return {run.pool.model: run.outcome() for run in runs}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One model's requests in steps: how many come in each, of `last`, and for how long each is served."""

    begin: float
    last: int
    coming: list[int]
    services: list[float]
    drain: int


def prepare(arrivals: Arrivals, begin: float, end: float) -> Prepared:
    """What need be done but once for a week that is replayed many times."""
    last = math.ceil((end - begin) / STEP)
    coming = [0] * (last + int((LONGEST_TAIL + POLL) / STEP))
    for time in arrivals.times:
        coming[min(int((time - begin) / STEP), last - 1)] += 1
    longest = LONGEST_TAIL / STEP
    services = [min(max(service / STEP, 1.0), longest) for service in arrivals.services]
    # The last of a replica's jobs takes longer than the mean.
    usual = fmean(arrivals.services) if arrivals.services else 0.0
    return Prepared(begin, last, coming, services, math.ceil(min(LONGEST_DRAIN, 2.5 * usual) / STEP))


class Budget:
    """The GPUs that are free, and how many pools want more than there are."""

    def __init__(self, gpus: float) -> None:
        self.free = gpus
        self.short = 0


@dataclass(slots=True)
class Run:
    """One pool's week so far, in steps."""

    pool: Pool
    week: Prepared
    scaler: Scaler
    budget: Budget
    short_since: float = math.inf
    _ready: int = 0
    _starting: deque[int] = field(default_factory=deque)
    _draining: deque[int] = field(default_factory=deque)
    _running: int = 0
    _queued: int = 0
    _waiting: deque[tuple[int, int]] = field(default_factory=deque)
    _waits: Counter[int] = field(default_factory=Counter)
    _next: int = 0
    _held: int = 0
    _most: int = 0
    _ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ends = [0] * (2 * len(self.week.coming))

    @property
    def open_jobs(self) -> int:
        """Waiting and in flight."""
        return self._queued + self._running

    def scale(self, step: int) -> None:
        while self._draining and self._draining[0] <= step:
            self._draining.popleft()
            self.budget.free += self.pool.gpus
        current = self._ready + len(self._starting)
        want = self.scaler.desired(self.week.begin + step * STEP, self._queued + self._running, current)
        if want != current or self.short_since < math.inf:
            for _ in range(current - want):
                self._stop(step)
            for _ in range(want - current):
                if self.budget.free < self.pool.gpus:
                    break
                self._start(step)
            current = self._ready + len(self._starting)
            self._tell_short(step, want > current)
            self._most = max(self._most, current)
        if step < self.week.last:
            self._held += current + len(self._draining)

    def advance(self, step: int, until: int) -> None:
        """What comes, ends and gets ready before then."""
        coming, ends, starting = self.week.coming, self._ends, self._starting
        for now in range(step, min(until, len(coming))):
            self._running -= ends[now]
            while starting and starting[0] <= now:
                starting.popleft()
                self._ready += 1
            if coming[now]:
                self._waiting.append((now, coming[now]))
                self._queued += coming[now]
            if self._queued and self._running < self._ready * self.pool.slots:
                self._begin(now)

    def outcome(self) -> Outcome:
        if self._queued:
            self._waits[NEVER] = self._queued
        return Outcome(
            waits={
                math.inf if steps == NEVER else steps * STEP: count for steps, count in sorted(self._waits.items())
            },
            gpu_hours=self._held * self.pool.gpus * POLL / HOUR,
            most_replicas=self._most,
        )

    def _begin(self, now: int) -> None:
        """As many as there is room for, the oldest first."""
        ends, waiting = self._ends, self._waiting
        room = self._ready * self.pool.slots - self._running
        while room > 0 and waiting:
            came, count = waiting.popleft()
            taken = min(count, room)
            if taken < count:
                waiting.appendleft((came, count - taken))
            self._waits[now - came] += taken
            self._queued -= taken
            self._running += taken
            room -= taken
            pace, first = self.pool.pace(self._running / self._ready), self._next
            self._next += taken
            for service in self.week.services[first : self._next]:
                ends[now + int(service * pace + 0.5)] += 1

    def _start(self, step: int) -> None:
        self.budget.free -= self.pool.gpus
        if step:
            self._starting.append(step + math.ceil(self.pool.startup / STEP))
        else:
            self._ready += 1  # what is there when the week begins was there before it

    def _stop(self, step: int) -> None:
        """The newest goes, as in Kubernetes: first those that are not ready."""
        if self._starting:
            self._starting.pop()
            self.budget.free += self.pool.gpus
            return
        self._ready -= 1
        if self._running:
            self._draining.append(step + self.week.drain)
        else:
            self.budget.free += self.pool.gpus

    def _tell_short(self, step: int, short: bool) -> None:
        if short and self.short_since == math.inf:
            self.budget.short += 1
            self.short_since = step
        elif not short and self.short_since < math.inf:
            self.budget.short -= 1
            self.short_since = math.inf


def fixed(replicas: Mapping[str, int]) -> dict[str, Scaler]:
    """The same replicas all the time."""
    return {model: Fixed(number) for model, number in replicas.items()}


def share_in_time(outcomes: Iterable[Outcome], wait: float) -> float:
    """The share of all requests that began within so many seconds; 1 if there were none."""
    known = list(outcomes)
    count = sum(each.requests for each in known)
    return 1 - sum(each.late(wait) for each in known) / count if count else 1.0
