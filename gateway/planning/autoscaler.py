"""When replicas come and go: the rules of KEDA and of the HorizontalPodAutoscaler under it, and simpler ones."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.planning.pools import HOUR

POLL = 15.0  # seconds between two looks, of the autoscaler's and ours
TOLERANCE = 0.1  # Kubernetes' own: so near to the target it changes nothing
COOLDOWN = 60.0  # seconds without an open job, until the last replica goes
STABILIZATION = 300.0  # seconds, Kubernetes' own: the most that was wanted so lately stays
EVERY = 60.0  # seconds between one replica that goes and the next
MOST_NEW = 4  # pods in 15 s, or twice those there are, whichever is more: Kubernetes' own


class Scaler(Protocol):
    """Says how many replicas a pool should have now."""

    def desired(self, now: float, open_jobs: int, current: int) -> int: ...


def wanted(open_jobs: int, target: float, current: int) -> int:
    """Replicas for so many open jobs, waiting and in flight, at `target` for each: the autoscaler's formula."""
    if current and abs(open_jobs / (target * current) - 1) <= TOLERANCE:
        return current
    return math.ceil(open_jobs / target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What a pool's autoscaler is told. `floors` are the least replicas by hour of the week, by UTC, from
    Monday on. `target` is in open jobs for each replica; times are in seconds.
    """

    least: int = 0
    most: int = 1
    target: float = 1.0
    floors: tuple[int, ...] = ()
    cooldown: float = COOLDOWN
    stabilization: float = STABILIZATION
    every: float = EVERY

    def floor(self, now: float) -> int:
        """The least that there should be now, where time 0 is a Monday's beginning."""
        if not self.floors:
            return self.least
        return max(self.least, self.floors[int(now // HOUR) % len(self.floors)])


@dataclass(slots=True)
class Autoscaler:
    """KEDA with a trigger for open jobs and cron triggers for the floors: the one that wants most decides."""

    scaling: Scaling
    _active: float = -math.inf
    _down: float = -math.inf
    _lately: deque[tuple[float, int]] = field(default_factory=deque)

    def desired(self, now: float, open_jobs: int, current: int) -> int:
        scaling, floor = self.scaling, self.scaling.floor(now)
        if open_jobs or floor:
            self._active = now
        elif not current or now - self._active >= scaling.cooldown:
            self._lately.clear()
            return 0
        want = max(wanted(open_jobs, scaling.target, current), floor, 1)
        want = min(want, scaling.most, max(current + MOST_NEW, 2 * current))
        return self._stabilized(now, want, current)

    def _stabilized(self, now: float, want: int, current: int) -> int:
        """More at once; less once nothing has wanted more for a while."""
        lately = self._lately
        while lately and lately[-1][1] <= want:
            lately.pop()
        lately.append((now, want))
        while lately[0][0] < now - self.scaling.stabilization:
            lately.popleft()
        if want >= current or lately[0][1] >= current or now - self._down < self.scaling.every:
            return max(want, current)
        self._down = now
        return current - 1


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same number."""

    replicas: int

    def desired(self, now: float, open_jobs: int, current: int) -> int:
        return self.replicas


@dataclass(frozen=True, slots=True)
class Timetable:
    """From each of the times on, so many."""

    times: Sequence[float]
    replicas: Sequence[int]

    def desired(self, now: float, open_jobs: int, current: int) -> int:
        place = bisect_right(self.times, now)
        return self.replicas[place - 1] if place else 0
