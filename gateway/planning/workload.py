"""Weeks made up by seed: a few models have most of the requests, by day more than by night, and surprises come.

Batches are an eighth of the catalogue's, so that 1.2 million requests keep several replicas busy: one request here
stands for about eight. That makes counts rougher than they are, which is harder to plan for.
"""

import math
import random
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.planning.pools import DAY, HOUR, SLOWDOWN, WEEK, Arrivals, Pool

Week = Literal["skewed", "bursty", "viral"]
WEEKS: tuple[Week, ...] = get_args(Week)

MINUTE = 60.0
VIRAL_FROM, VIRAL_TIMES, VIRAL_RISE, VIRAL_HALF = 2 * DAY + 14 * HOUR, 25.0, HOUR / 2, 12 * HOUR
BURSTS_A_DAY, BURST_TIMES, BURST_LENGTH, BURST_RISE = 1.0, (2.0, 4.0), (10 * MINUTE, 40 * MINUTE), 5 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a model is used: its share of all requests, mean seconds of service, and its busiest hour of UTC."""

    pool: Pool
    share: float
    service: float
    busiest: float = 15.0
    viral: bool = False


def _habit(
    model: str, gpus: int, slots: int, startup: float, share: float, service: float, **more: float
) -> Habit:
    promised = share >= 0.03
    slowdown = 1.0 if model == "stable_diffusion" else SLOWDOWN
    made = Pool(model=model, gpus=gpus, slots=slots, startup=startup, promised=promised, slowdown=slowdown)
    return Habit(
        pool=made, share=share, service=service, busiest=more.get("busiest", 15.0), viral=model == "gemma_7b"
    )


FLEET = (
    _habit("llama3.1-8b", 1, 16, 61, 0.38, 20),
    _habit("llama3.3-70b", 2, 16, 115, 0.20, 40),
    _habit("deepseek-r1-distill-qwen-32b", 1, 8, 77, 0.15, 60, busiest=9),
    _habit("stable_diffusion", 1, 2, 60, 0.12, 9, busiest=20),
    _habit("mistral-7b-instruct", 1, 4, 59, 0.08, 15, busiest=12),
    _habit("llama3.1-405b", 8, 8, 450, 0.03, 60),
    _habit("gemma_7b", 1, 6, 59, 0.02, 15),
    _habit("llama3.2-1b", 1, 16, 47, 0.015, 8, busiest=2),
    _habit("llama3", 1, 4, 61, 0.004, 15),
    _habit("tinyllama", 1, 16, 47, 0.001, 8),
)
"""Ten of the catalogue's models, with its GPUs and with start-up times by size."""


def fleet() -> dict[str, Pool]:
    return {habit.pool.model: habit.pool for habit in FLEET}


def generate(week: Week, seed: int, requests: int = 1_200_000) -> dict[str, Arrivals]:
    """A week's requests, by model, from Monday on; about so many in all, without what goes viral."""
    return {
        habit.pool.model: _arrivals(habit, week, random.Random(f"{seed} {habit.pool.model}"), requests)
        for habit in FLEET
    }


def _arrivals(habit: Habit, week: Week, chance: random.Random, requests: int) -> Arrivals:
    mean = requests * habit.share / WEEK * MINUTE  # requests a minute
    bursts = _bursts(chance) if week == "bursty" else []
    times: list[float] = []
    mood = 1.0
    for minute in range(int(WEEK // MINUTE)):
        now = minute * MINUTE
        if minute % 60 == 0:
            mood = chance.lognormvariate(-0.02, 0.2)
        rate = mean * _rhythm(now, habit.busiest) * mood * _burst(bursts, now)
        if week == "viral" and habit.viral:
            rate *= _viral(now)
        times += sorted(now + MINUTE * chance.random() for _ in range(_poisson(chance, rate)))
    # A mean of `service` with a standard deviation of 0.8 of it.
    spread = math.sqrt(math.log(1 + 0.8**2))
    middle = math.log(habit.service) - spread**2 / 2
    return Arrivals(times, [chance.lognormvariate(middle, spread) for _ in times])


def _rhythm(now: float, busiest: float) -> float:
    """Of the day and the week, around 1: the busiest hour has six times what the quietest has, weekends 0.6."""
    hour = now % DAY / HOUR
    daily = 1 + 0.714 * math.cos((hour - busiest) / 24 * 2 * math.pi)
    return daily * (0.6 if now >= 5 * DAY else 1.16)


def _bursts(chance: random.Random) -> list[tuple[float, float, float]]:
    """When some begin and end, and by how many times they raise the rate."""
    found = []
    for _ in range(_poisson(chance, BURSTS_A_DAY * 7)):
        begins = chance.uniform(0, WEEK)
        found.append((begins, begins + chance.uniform(*BURST_LENGTH), chance.uniform(*BURST_TIMES)))
    return found


def _burst(bursts: list[tuple[float, float, float]], now: float) -> float:
    rises = (
        1 + (times - 1) * min(1.0, (now - begins + MINUTE) / BURST_RISE)
        for begins, ends, times in bursts
        if begins <= now < ends
    )
    return max(rises, default=1.0)


def _viral(now: float) -> float:
    """From an hour on everybody speaks of it, half as many after each half day."""
    since = now - VIRAL_FROM
    if since < 0:
        return 1.0
    fades: float = 0.5 ** (since / VIRAL_HALF)
    return 1 + (VIRAL_TIMES - 1) * min(1.0, since / VIRAL_RISE) * fades


def _poisson(chance: random.Random, mean: float) -> int:
    """Knuth's way, in parts that do not underflow."""
    count = 0
    while mean > 0:
        part = min(mean, 500.0)
        mean -= part
        product, limit = chance.random(), math.exp(-part)
        while product > limit:
            product *= chance.random()
            count += 1
    return count
