"""Requests for the tests of planning."""

import random

from gateway.planning.pools import HOUR, Arrivals, Pool


def steady(every: float, service: float, length: float, *, begin: float = 0.0) -> Arrivals:
    """One request each so many seconds, all served for as long."""
    times = [begin + every * number for number in range(int(length / every))]
    return Arrivals(times, [service] * len(times))


def noisy(seed: int, rate: float, service: float, length: float = 24 * HOUR) -> Arrivals:
    """Requests at random times, so many a second."""
    chance = random.Random(seed)
    times = sorted(chance.uniform(0, length) for _ in range(int(rate * length)))
    return Arrivals(times, [chance.expovariate(1 / service) for _ in times])


def make_pool(model: str = "m", **changes: object) -> Pool:
    fields: dict[str, object] = {"gpus": 1, "slots": 4, "startup": 60.0, "promised": True}
    return Pool(model=model, **fields | changes)  # type: ignore[arg-type]
