"""A plan in words, as JSON, and as values for the Helm chart."""

import math
from collections.abc import Iterable
from typing import Any

import yaml

from gateway.planning.autoscaler import COOLDOWN, EVERY, POLL, STABILIZATION
from gateway.planning.comparison import HINDSIGHT, PROMPT, Result, ratio
from gateway.planning.demand import HOURS
from gateway.planning.planner import Plan, Planned

USUAL_HOLD, USUAL_TIMEOUT = 60, 600  # seconds: CROFAI_HOLD and CROFAI_JOB_TIMEOUT of themselves
MARGIN = 30.0  # seconds, to see that a job waits and to place a pod


def why(planned: Planned) -> str:
    """The reasons for a model's numbers."""
    pool, scaling = planned.pool, planned.scaling
    if not scaling.most:
        return f"does not fit: one replica takes {pool.gpus} GPUs, and there are fewer beside what is promised"
    if not planned.requests:
        return "promised, so one stays; no request came" if pool.promised else "no request came, so none stays"
    busiest = planned.busiest
    work, start = planned.hours[busiest].work / pool.slots, f"a start takes {pool.startup:.0f} s"
    hour = f"{busiest % 24:02}:00 {_days(planned, busiest)}"
    peak = f"{hour} has work for {work:.1f} replicas, at its peak for {planned.peak}"
    if scaling.floors:
        said = f"{peak}; {start}, so {min(scaling.floors)} to {max(scaling.floors)} stay, by the hour"
    elif scaling.least:
        said = f"{peak}; {start}, so {scaling.least} {'stays' if scaling.least == 1 else 'stay'}"
    else:
        said = f"{peak}; not promised, so none stays, and {start}"
    others = f"; beyond {planned.reserved}, if others leave them" if planned.reserved < scaling.most else ""
    return said + others


def _days(planned: Planned, hour: int) -> str:
    """The days whose demand is that of this hour's: they were taken together."""
    alike = [day for day in range(7) if planned.hours[24 * day + hour % 24] is planned.hours[hour]]
    return {7: "of any day", 5: "of a working day"}.get(len(alike), "of the weekend")


def as_json(plan: Plan) -> dict[str, Any]:
    return {
        "gpus": plan.gpus,
        "goal": plan.goal._asdict(),
        "least_gpus": most_held(plan),
        "models": [
            {
                "model": each.pool.model,
                "gpus": each.pool.gpus,
                "promised": each.pool.promised,
                "startup": each.pool.startup,
                "requests": each.requests,
                "late": each.late,
                "gpu_hours": round(each.gpu_hours, 1),
                "peak": each.peak,
                "reserved": each.reserved,
                "min": each.scaling.least,
                "max": each.scaling.most,
                "factor": each.factor,
                "by_hour": list(each.scaling.floors) or None,
                "why": why(each),
            }
            for each in plan.models
        ],
    }


def results_json(results: list[Result]) -> list[dict[str, Any]]:
    return [
        {
            "policy": each.policy,
            "share_in_time": round(each.share, 4),
            "waits": {name: wait if wait < float("inf") else None for name, wait in each.waits.items()},
            "gpu_hours": round(each.gpu_hours, 1),
            "to_hindsight": round(ratio(results, each.policy, HINDSIGHT), 3),
            "to_prompt_hindsight": round(ratio(results, each.policy, PROMPT), 3),
        }
        for each in results
    ]


def most_held(plan: Plan) -> int:
    """GPUs that are held at least, in the hour when that is most."""
    return max((plan.least_gpus(hour) for hour in range(HOURS)), default=0)


def values(plan: Plan) -> str:
    """A file of values for the Helm chart."""
    models = {each.pool.model: _pool(each) for each in plan.models}
    found = _settings(plan)
    if any(each.scaling.most for each in plan.models):
        found["keda"] = {"enabled": True, "cooldownPeriod": int(COOLDOWN)}
        found["scaleDown"] = {"stabilization": int(STABILIZATION), "pods": 1, "every": int(EVERY)}
    found["models"] = models
    head = (
        f"# From crofai plan --gpus {plan.gpus}: {plan.goal.share:.1%} of requests are to begin within "
        f"{plan.goal.wait:g} s.\n# Maxima overlap: together they may want more GPUs than there are.\n"
        "# What is not of a model holds for all: where you have more seconds for them, keep yours.\n"
    )
    return head + yaml.dump(found, Dumper=_Dumper, sort_keys=False, default_flow_style=None)


def _settings(plan: Plan) -> dict[str, Any]:
    """Who waits for a replica's start must be held for as long, and have time left for an answer."""
    starts = [each.pool.startup for each in plan.models if each.scaling.most and not each.scaling.least]
    hold = math.ceil(max(starts, default=0) + POLL + MARGIN)
    if hold <= USUAL_HOLD:
        return {}
    timeout = {"job_timeout": USUAL_TIMEOUT + hold} if 2 * hold > USUAL_TIMEOUT else {}
    return {"settings": {"hold": hold} | timeout}


def _pool(planned: Planned) -> dict[str, Any]:
    """None takes away what an earlier file of values may have."""
    scaling = planned.scaling
    if not scaling.most:
        return {"replicas": 0, "autoscaling": None}
    hours = list(schedule(scaling.floors, scaling.least)) if scaling.floors else None
    found = {"min": scaling.least, "max": scaling.most, "factor": planned.factor, "schedule": hours}
    return {"replicas": None, "autoscaling": found}


def schedule(floors: tuple[int, ...], least: int) -> Iterable[dict[str, Any]]:
    """When more than `least` stay: on which days (0 is Sunday, as in cron), from and until which hours of UTC."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for day in range(7):
        alike.setdefault(floors[24 * day : 24 * day + 24], []).append((day + 1) % 7)
    for hours, days in alike.items():
        begin = 0
        for hour in range(1, 25):
            if hour < 24 and hours[hour] == hours[begin]:
                continue
            if hours[begin] > least:
                yield {"days": days, "from": begin, "to": hour, "min": hours[begin]}
            begin = hour


class _Dumper(yaml.SafeDumper):
    """Helm takes references to what was said before, people do not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
