"""Does `crofai plan` do what it says?  `make bench-plan`

A week is made up, and a plan made from it; other weeks of its kind are then replayed against the plan, against
fixed numbers of replicas, and against the best that could have been done by who had known them. docs/scaling.md
says how.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from bench.machine import save
from gateway.planning import report, workload
from gateway.planning.comparison import PLAN, Result, Week, compare, hindsights
from gateway.planning.planner import plan
from gateway.planning.pools import WEEK, Goal

ROOT = Path(__file__).parent.parent


def measure(kind: workload.Week, seeds: list[int], gpus: int) -> dict[str, list[dict[str, Any]]]:
    """What each policy did in each of these weeks, planned from the week of seed 1."""
    pools, goal = workload.fleet(), Goal()
    known = workload.generate("skewed" if kind == "viral" else kind, 1)
    found: dict[str, list[dict[str, Any]]] = {}
    plans = {}
    for name, by_hours in ((f"{kind}, by hour", True), (kind, False)):
        start = time.monotonic()
        plans[name] = plan(pools, known, goal, gpus, 0, WEEK, by_hours=by_hours)
        print(f"{name}: planned in {time.monotonic() - start:.0f} s", flush=True)
    for seed in seeds:
        week = Week(pools=pools, arrivals=workload.generate(kind, seed), begin=0, end=WEEK, gpus=gpus)
        tables = hindsights(goal, week)
        for name, made in plans.items():
            did = told(seed, compare(made, week, tables), goal.wait)
            found.setdefault(name, []).append(did)
            show(name, did)
    return found


def told(seed: int, results: list[Result], wait: float) -> dict[str, Any]:
    """Each policy's figures, in all and by model."""
    policies = {each.pop("policy"): each for each in report.results_json(results)}
    for each in results:
        policies[each.policy]["models"] = {
            model: {"requests": of.requests, "late": of.late(wait), "gpu_hours": round(of.gpu_hours)}
            for model, of in each.models.items()
        }
    return {"seed": seed, "policies": policies}


def show(name: str, week: dict[str, Any]) -> None:
    for policy, did in week["policies"].items():
        print(
            f"{name}, seed {week['seed']}: {policy}: {did['share_in_time']:.2%} in time, "
            f"p95 {did['waits']['p95']} s, {did['gpu_hours']:.0f} GPU-hours, "
            f"{did['to_hindsight']:.3f} of hindsight's, "
            f"{did['to_prompt_hindsight']:.3f} of prompt hindsight's",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12], help="of the weeks it is tried on")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "plan.json")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    for kind in workload.WEEKS:
        figures |= measure(kind, args.seeds, args.gpus)
    save(args.out, figures)
    kept = [week["policies"][PLAN] for weeks in figures.values() for week in weeks]
    good = sum(did["share_in_time"] >= 0.95 and did["to_hindsight"] <= 1.15 for did in kept)
    print(f"95 % in time at 1.15 of hindsight's GPU-hours: {good} of {len(kept)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
