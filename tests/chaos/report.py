"""A run's results, for people and as JSON."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from bench.machine import describe
from tests.chaos.audit import Violation
from tests.chaos.costs import Cost, costs
from tests.chaos.ledger import Ledger
from tests.chaos.schedule import Schedule

MOST_SHOWN = 10  # violations with their histories


def results(
    schedule: Schedule, ledger: Ledger, violations: list[Violation], orphans: int, lives: dict[str, int]
) -> dict[str, Any]:
    entries = ledger.entries
    memory = [size for _, _, size in ledger.memory]
    return {
        "seed": schedule.seed,
        "seconds": schedule.duration,
        "faults": list(schedule.faults),
        "rate": schedule.rate,
        "machine": describe(),
        "requests": len(entries),
        "kinds": dict(Counter(entry.request.kind for entry in entries)),
        "ends": dict(Counter(entry.end or "none" for entry in entries)),
        "tokens": sum(len(entry.text.split()) for entry in entries),
        "habits": {
            "slow-reader": sum(entry.request.pace is not None for entry in entries),
            "drop": sum(len(entry.request.drops) for entry in entries),
            "leave": sum(entry.end == "left" for entry in entries),
        },
        "refusals": dict(Counter(f"{status} {code}" for entry in entries for status, code, _ in entry.refusals)),
        "jobs_without_client": orphans,
        "lives": lives,
        "gateway_memory_mib": [round(size / 2**20, 1) for size in (memory[0], max(memory))] if memory else [],
        "costs": {fault: _cost(cost, ledger) for fault, cost in costs(ledger).items()},
        "strikes": [asdict(strike) | {"began": round(at, 2)} for at, strike in ledger.struck],
        "violations": [
            {
                "what": violation.what,
                "request": str(violation.entry.request) if violation.entry else None,
                "history": ledger.history(violation.entry) if violation.entry else [],
            }
            for violation in violations
        ],
    }


def _cost(cost: Cost, ledger: Ledger) -> dict[str, Any]:
    return {
        "strikes": cost.strikes,
        "streams": len(cost.stalls),
        "p50": round(cost.percentile(50), 2),
        "p99": round(cost.percentile(99), 2),
        "max": round(max(cost.stalls, default=0.0), 2),
        "worst": ledger.history(cost.worst) if cost.worst else [],
    }


def show(found: dict[str, Any]) -> str:
    """The results as text."""
    lines = [
        f"seed {found['seed']}, {found['seconds']:.0f} s, {len(found['strikes'])} faults",
        f"  requests   {found['requests']:5}   {_counts(found['kinds'])}; {found['tokens']} tokens",
        f"  ended      {_counts(found['ends'])}",
        f"  refused    {_counts(found['refusals']) or 'none'}",
        f"  clients    {_counts(found['habits'])}",
        f"  jobs that no client knows of: {found['jobs_without_client']}",
        f"  gateway memory: {' → '.join(map(str, found['gateway_memory_mib']))} MiB at most",
        "",
        "  fault              times   streams     stood still, s: p50      p99      max",
    ]
    lines += [
        "  {:16} {strikes:7} {streams:9} {p50:23.2f} {p99:8.2f} {max:8.2f}".format(fault, **cost)
        for fault, cost in found["costs"].items()
    ]
    return "\n".join([*lines, "", *_shown(found["violations"])])


def _shown(violations: list[dict[str, Any]]) -> list[str]:
    lines = [f"{len(violations)} violations" if violations else "no violations"]
    for violation in violations[:MOST_SHOWN]:
        lines += ["", f"* {violation['request'] or 'the system'}: {violation['what']}"]
        lines += [f"    {line}" for line in violation["history"]]
    if len(violations) > MOST_SHOWN:
        lines += ["", "… all of them with --json"]
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
