"""Whether something grows: samples of a long run, and the line through them."""

import math
import statistics
from collections import defaultdict
from typing import NamedTuple

MIB = 2**20
HOUR = 3600.0


class Trend(NamedTuple):
    """The line through samples: its ends, and its slope per hour with the standard error."""

    start: float
    end: float
    slope: float
    error: float

    def exceeds(self, most: float) -> bool:
        """Whether it rises by more than this per hour, and by more than chance would have it."""
        return self.slope - 2 * self.error > most


class Samples:
    """Values by name, in the order of their times (seconds)."""

    def __init__(self) -> None:
        self._times: defaultdict[str, list[float]] = defaultdict(list)
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, time: float, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._times[name].append(time)
            self._values[name].append(value)

    def names(self) -> list[str]:
        return list(self._values)

    def latest(self, name: str) -> float:
        return self._values[name][-1]

    def mean(self, name: str, after: float) -> float:
        return statistics.mean(self._since(name, after)[1])

    def trend(self, name: str, after: float) -> Trend:
        """Of the samples from this time on."""
        return fit(*self._since(name, after))

    def _since(self, name: str, after: float) -> tuple[list[float], list[float]]:
        times = self._times[name]
        first = next((number for number, time in enumerate(times) if time >= after), 0)
        return times[first:], self._values[name][first:]


def fit(times: list[float], values: list[float]) -> Trend:
    """Least squares.

    Memory moves in steps, so that each sample is much like the one before, and a line's error is larger than it
    would be for independent samples: as if there were fewer, by the correlation of neighbours.
    """
    slope, base = statistics.linear_regression(times, values)
    rests = [value - base - slope * time for time, value in zip(times, values, strict=True)]
    spread = sum((time - statistics.mean(times)) ** 2 for time in times)
    alike = min(max(_correlation(rests), 0.0), 0.99)
    variance = sum(rest**2 for rest in rests) / (len(rests) - 2) * (1 + alike) / (1 - alike)
    ends = (base + slope * times[0], base + slope * times[-1])
    return Trend(*ends, slope * HOUR, math.sqrt(variance / spread) * HOUR)


def _correlation(rests: list[float]) -> float:
    """Of each with the next."""
    try:
        return statistics.correlation(rests[:-1], rests[1:])
    except statistics.StatisticsError:  # they are all the same
        return 0.0
