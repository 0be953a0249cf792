"""From usage to the least and the most replicas of each model, under a budget of GPUs.

Each pool's autoscaler has a few settings worth trying: floors by hour, and how full a replica is to be before
another starts. All are tried on the week that is known. Of the settings, those are taken that keep the goal with
the fewest GPU-hours: the next GPU-hour goes to where it saves most late requests.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.planning import budget
from gateway.planning.autoscaler import Autoscaler, Scaler, Scaling
from gateway.planning.demand import Hour, by_hour
from gateway.planning.frontier import Option, cheapest
from gateway.planning.pools import HOUR, Arrivals, Goal, Pool
from gateway.planning.simulation import Prepared, prepare, replay
from shared.errors import SetupError

WORTH = (0.4, 0.15, 0.05)
"""A replica stays in the hours in which so many requests need it, as shares of those of the model's mean hour."""

FACTORS = (0.65, 0.8, 1.0, 1.25, 1.6, 2.0)
"""Of the open jobs that a replica serves in time: at so many for each, another is started."""

BUSY = 0.5
"""Of a replica's slots, in the busiest hour. Who has less work saves nothing by letting jobs wait before a second
replica starts, and would wait all the time if ever more came."""

RESERVE = 0.2
"""Of what may be late, so much is kept for what the next week has that the last had not."""

PEAK = 0.999
"""Of the busiest hour's requests begin in time with as many replicas as a model may have, if others leave them."""


class PlanError(SetupError):
    """The budget does not hold what is promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One model's part of a plan. `late` and `gpu_hours` are what the known time would have had with it, alone.

    `peak` is what its busiest hour needs, in replicas; `reserved` those that it can have whatever others do.
    """

    pool: Pool
    scaling: Scaling
    requests: int
    hours: list[Hour]
    peak: int
    reserved: int
    late: int
    gpu_hours: float

    @property
    def factor(self) -> float:
        """The target's share of a replica's slots, as the Helm chart takes it: rounded up, as it rounds down."""
        return math.ceil(self.scaling.target / self.pool.slots * 1000) / 1000

    @property
    def busiest(self) -> int:
        """The hour of the week with most work, Monday's first being 0."""
        return max(range(len(self.hours)), key=lambda hour: self.hours[hour].work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every model's part, those with most requests first."""

    goal: Goal
    gpus: int
    models: list[Planned]

    @property
    def scalers(self) -> dict[str, Scaler]:
        return {each.pool.model: Autoscaler(each.scaling) for each in self.models}

    def least_gpus(self, hour: int) -> int:
        """The GPUs that are held in this hour of the week at least."""
        return sum(each.scaling.floor(hour * HOUR) * each.pool.gpus for each in self.models)


def plan(
    pools: Mapping[str, Pool],
    arrivals: Mapping[str, Arrivals],
    goal: Goal,
    gpus: int,
    begin: float,
    end: float,
    *,
    by_hours: bool = True,
) -> Plan:
    """The plan for what comes, if it is like what came from `begin` to `end`. Raises PlanError."""
    _hold_promises(pools, gpus)
    hours = {model: by_hour(each, arrivals[model], begin, end) for model, each in pools.items()}
    trial = Trial(goal, begin, end)
    options = {
        model: trial.options(each, arrivals[model], hours[model], by_hours=by_hours)
        for model, each in pools.items()
    }
    count = sum(len(each.times) for each in arrivals.values())
    chosen = cheapest(options, (1 - goal.share) * (1 - RESERVE) * count)
    peaks = {model: max(hour.need(PEAK) for hour in each) for model, each in hours.items()}
    reserved, most = budget.maxima(pools, {model: _usual(each) for model, each in hours.items()}, peaks, gpus)
    floors = budget.fit(pools, hours, {model: each.what for model, each in chosen.items()}, gpus)
    models = [
        Planned(
            pool=each,
            scaling=replace(
                chosen[model].what,
                floors=floors[model] if len(set(floors[model])) > 1 else (),
                least=min(floors[model]),
                most=max(most[model], *floors[model]),
            ),
            requests=len(arrivals[model].times),
            hours=hours[model],
            peak=peaks[model],
            reserved=reserved[model],
            late=chosen[model].late,
            gpu_hours=chosen[model].gpu_hours,
        )
        for model, each in pools.items()
    ]
    return Plan(goal=goal, gpus=gpus, models=sorted(models, key=lambda each: (-each.requests, each.pool.model)))


@dataclass(frozen=True, slots=True)
class Trial:
    """Tries settings on the time that is known, each pool alone with as many GPUs as it wants."""

    goal: Goal
    begin: float
    end: float

    def options(
        self, pool: Pool, arrivals: Arrivals, hours: Sequence[Hour], *, by_hours: bool
    ) -> list[Option[Scaling]]:
        least = int(pool.promised)
        most = max(least, 1, *(hour.need(1.0) for hour in hours)) + 1
        flat, usual = Scaling(least=least, most=most), full(pool, arrivals, self.goal.wait)
        more = [stay(hours, worth, least) for worth in WORTH] if by_hours else [(least + 1,) * len(hours)]
        floors = dict.fromkeys([(), *more])
        busy = max(hour.work for hour in hours) >= BUSY * pool.slots
        targets = dict.fromkeys(max(1, int(usual * factor)) for factor in FACTORS if busy or factor <= 1)
        week = prepare(arrivals, self.begin, self.end)
        return [
            self._try(pool, week, replace(flat, floors=floor, target=float(target)))
            for floor in (floors if arrivals.times else [()])
            for target in (targets if arrivals.times else [*targets][:1])
        ]

    def _try(self, pool: Pool, week: Prepared, scaling: Scaling) -> Option[Scaling]:
        one: dict[str, Scaler] = {pool.model: Autoscaler(scaling)}
        outcome = replay({pool.model: pool}, {pool.model: week}, one)[pool.model]
        return Option(gpu_hours=outcome.gpu_hours, late=outcome.late(self.goal.wait), what=scaling)


def stay(hours: Sequence[Hour], worth: float, least: int) -> tuple[int, ...]:
    """Replicas by hour of the week: each is one that so large a share of a mean hour's requests needs."""
    enough = worth * sum(hour.requests for hour in hours) / len(hours)
    found = []
    for hour in hours:
        replicas = least
        while hour.requests and hour.needing(replicas + 1) >= max(enough, 1e-9):
            replicas += 1
        found.append(replicas)
    return tuple(found)


def full(pool: Pool, arrivals: Arrivals, wait: float) -> float:
    """Open jobs that one replica serves in time: those it holds, and those that it gets to within the wait."""
    services = arrivals.services
    usual = sum(services) / len(services) if services else 1.0
    return pool.slots * (1 + 0.5 * min(1.0, wait / max(usual, 1e-9)))


def _usual(hours: Iterable[Hour]) -> list[int]:
    """What each request of the busiest hour needs, but for the half that need most."""
    busiest = max(hours, key=lambda hour: hour.need(0.5))
    return [need for need in busiest.needs if need <= busiest.need(0.5)]


def _hold_promises(pools: Mapping[str, Pool], gpus: int) -> None:
    promised = [each for each in pools.values() if each.promised]
    if (all_of_them := sum(each.gpus for each in promised)) > gpus:
        raise PlanError(
            f"one replica of each promised model takes {all_of_them} GPUs, and there are {gpus}: promise fewer"
        )
