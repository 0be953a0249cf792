"""A plan beside others, on a week that it was not made from.

The others: as many replicas all the time as the known week's mean or its busiest hour needs, the autoscaler alone,
and what could have been done by who had known the week.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.planning import hindsight
from gateway.planning.autoscaler import Autoscaler, Scaler, Scaling
from gateway.planning.budget import share_out
from gateway.planning.frontier import Option, cheapest
from gateway.planning.planner import Plan, Planned
from gateway.planning.pools import Arrivals, Goal, Pool
from gateway.planning.simulation import Outcome, fixed, share_in_time, simulate

PLAN, HINDSIGHT, PROMPT = "plan", "hindsight", "hindsight, as prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What comes to the pools from `begin` to `end`, and the GPUs that there are for it."""

    pools: Mapping[str, Pool]
    arrivals: Mapping[str, Arrivals]
    begin: float
    end: float
    gpus: int

    def run(self, scalers: Mapping[str, Scaler]) -> dict[str, Outcome]:
        return simulate(self.pools, self.arrivals, scalers, begin=self.begin, end=self.end, gpus=self.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one policy did: the share that began in time, seconds waited by share of requests, and GPU-hours."""

    policy: str
    share: float
    waits: dict[str, float]
    gpu_hours: float
    models: dict[str, Outcome]


def compare(plan: Plan, week: Week) -> list[Result]:
    """The plan first. The last two are hindsight, where none waits longer than a job may, and than a start-up."""
    planned = week.run(plan.scalers)
    results = [
        _result(PLAN, planned, plan.goal),
        _result("autoscaler alone", week.run(_alone(plan)), plan.goal),
        _result("fixed, for the mean", week.run(fixed(_sized(plan, peak=False))), plan.goal),
        _result("fixed, for the peak", week.run(fixed(_sized(plan, peak=True))), plan.goal),
    ]
    for policy, options in zip((HINDSIGHT, PROMPT), _known(plan.goal, week, planned), strict=True):
        late = sum(outcome.late(plan.goal.wait) for outcome in planned.values())
        best = {model: option.what for model, option in cheapest(options, late).items()}
        if sum(each.gpu_hours for each in best.values()) > sum(each.gpu_hours for each in planned.values()):
            best = planned
        results.append(_result(policy, best, plan.goal))
    return results


def ratio(results: list[Result], policy: str, to: str = HINDSIGHT) -> float:
    """What one policy took of GPU-hours, for each that another took."""
    hours = {result.policy: result.gpu_hours for result in results}
    return hours[policy] / hours[to] if hours[to] else 1.0


def percentile(waits: Mapping[float, int], share: float) -> float:
    """The shortest wait that so large a share of requests did not exceed."""
    left = math.ceil(share * sum(waits.values()))
    for wait in sorted(waits):
        left -= waits[wait]
        if left <= 0:
            return wait
    return 0.0


def _result(policy: str, outcomes: dict[str, Outcome], goal: Goal) -> Result:
    waits: dict[float, int] = {}
    for outcome in outcomes.values():
        for wait, count in outcome.waits.items():
            waits[wait] = waits.get(wait, 0) + count
    return Result(
        policy=policy,
        share=share_in_time(outcomes.values(), goal.wait),
        waits={
            name: percentile(waits, at) for name, at in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("most", 1))
        },
        gpu_hours=sum(outcome.gpu_hours for outcome in outcomes.values()),
        models=outcomes,
    )


def _alone(plan: Plan) -> dict[str, Scaler]:
    """What the chart does of itself: one to as many as fit, another replica once all are full."""
    return {
        each.pool.model: Autoscaler(
            Scaling(least=1, most=each.scaling.most, target=each.pool.slots, stabilization=300)
        )
        for each in plan.models
    }


def _sized(plan: Plan, *, peak: bool) -> dict[str, int]:
    wanted = {each.pool.model: max(1, _replicas(each, peak=peak)) for each in plan.models}
    pools = {each.pool.model: each.pool for each in plan.models}
    needs = {each.pool.model: each.hours[each.busiest].needs for each in plan.models}
    return share_out(pools, needs, wanted, plan.gpus)


def _replicas(planned: Planned, *, peak: bool) -> int:
    pool, works = planned.pool, [hour.work for hour in planned.hours]
    return planned.peak if peak else math.ceil(sum(works) / len(works) * pool.pace(pool.slots) / pool.slots)


Options = dict[str, list[Option[Outcome]]]


def _known(goal: Goal, week: Week, planned: Mapping[str, Outcome]) -> tuple[Options, Options]:
    """What each pool could have cost for who had known the week: never worse than what the plan did itself."""
    patient: Options = {}
    prompt: Options = {}
    for model, pool in week.pools.items():

        def tables(patience: float, pool: Pool = pool) -> list[Option[Outcome]]:
            return hindsight.options(pool, week.arrivals[pool.model], goal, week.begin, week.end, patience)

        own = Option(gpu_hours=planned[model].gpu_hours, late=planned[model].late(goal.wait), what=planned[model])
        patient[model] = [own, *tables(hindsight.PATIENCE)]
        # A promised pool always has a replica, so nobody's patience is tried.
        prompt[model] = patient[model] if pool.promised else [own, *tables(pool.startup + goal.wait)]
    return patient, prompt
