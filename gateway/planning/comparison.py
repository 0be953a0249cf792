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


def compare(plan: Plan, week: Week, tables: "Tables | None" = None) -> list[Result]:
    """The plan first. The last two are hindsight, where none waits longer than a job may, and than a start-up.

    `tables` are what `hindsights` makes of the week: where several plans are compared, they are made once.
    """
    planned = week.run(plan.scalers)
    results = [
        _result(PLAN, planned, plan.goal),
        _result("autoscaler alone", week.run(_alone(plan)), plan.goal),
        _result("fixed, for the mean", week.run(fixed(_sized(plan, peak=False))), plan.goal),
        _result("fixed, for the peak", week.run(fixed(_sized(plan, peak=True))), plan.goal),
    ]
    for policy, options in (tables or hindsights(plan.goal, week)).items():
        results.append(_result(policy, _best(options, planned, plan.goal.wait), plan.goal))
    return results


Tables = dict[str, dict[str, list[Option[Outcome]]]]
"""By kind of hindsight and model: what it could have cost, and how many would have been late for it."""


def hindsights(goal: Goal, week: Week) -> Tables:
    patient, prompt = {}, {}
    for model, pool in week.pools.items():
        known = pool, week.arrivals[model], goal, week.begin, week.end
        patient[model] = hindsight.options(*known, hindsight.PATIENCE)
        # A promised pool always has a replica, so nobody's patience is tried.
        prompt[model] = patient[model] if pool.promised else hindsight.options(*known, pool.startup + goal.wait)
    return {HINDSIGHT: patient, PROMPT: prompt}


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


def _best(
    options: Mapping[str, list[Option[Outcome]]], planned: dict[str, Outcome], wait: float
) -> dict[str, Outcome]:
    """The cheapest with no more late requests than were planned: never worse than the plan itself."""
    late = {model: outcome.late(wait) for model, outcome in planned.items()}
    own = {model: Option(gpu_hours=each.gpu_hours, late=late[model], what=each) for model, each in planned.items()}
    best = cheapest({model: [own[model], *options[model]] for model in own}, sum(late.values()))
    cost, most = (sum(option.gpu_hours for option in each.values()) for each in (best, own))
    return {model: option.what for model, option in best.items()} if cost < most else planned
