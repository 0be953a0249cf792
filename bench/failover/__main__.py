"""What a failure costs those who are being answered.  `make bench-failover`

Try after try, at a moment that the seed decides, a process is struck while clients read. Their answers must be
what an undisturbed run gives: text, usage and one end, in the log as with the client. Prints how many were, and
how long clients had no news. Exit status 1 if one answer was not whole; it says what was wrong.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.failover import gateways, valkey, workers
from bench.failover.stage import Outcome
from bench.machine import save
from tests.cluster import ROOT

Case = Callable[[argparse.Namespace], Iterator[list[Outcome]]]

CASES: dict[str, Case] = {
    "worker-killed": workers.killed,
    "worker-paused": workers.paused,
    "gateway-killed-events": gateways.events,
    "gateway-killed-sockets": gateways.sockets,
    "valkey-killed": valkey.killed,
}


def main() -> int:
    args = _arguments()
    engine = "the simulated engine" if args.simulated else "smollm2-135m on vLLM"
    print(f"lease {args.lease:g} s; worker-killed with {engine}, all others simulated")
    print("  case                      tries   whole      no news, s: median    worst")
    figures = {}
    for case in args.cases:
        figures[case] = found = _figures(_tries(case, CASES[case](args)))
        line = "{tries:5} {whole:5}/{answers:<5} {pause_median_s:20.2f} {pause_worst_s:8.2f}"
        print(f"  {case:25}" + line.format(**found), flush=True)
    figures["lease_s"] = args.lease
    save(args.out, figures)
    return int(any(figures[case]["whole"] < figures[case]["answers"] for case in args.cases))


def _tries(case: str, tries: Iterable[list[Outcome]]) -> list[list[Outcome]]:
    """Every try's outcomes. A case whose system fails to do what it waits for ends with that."""
    done: list[list[Outcome]] = []
    start = time.monotonic()
    try:
        for outcomes in tries:
            done.append(outcomes)
            _tell(case, len(done), outcomes, time.monotonic() - start)
    except AssertionError as error:
        done.append([Outcome(wrong=[str(error)])])
        _tell(case, len(done), done[-1], time.monotonic() - start)
    return done


def _tell(case: str, number: int, outcomes: list[Outcome], seconds: float) -> None:
    longest = max((pause for outcome in outcomes for pause in outcome.pauses), default=0.0)
    print(f"{case} {number}, after {seconds:.0f} s: no news for {longest:.2f} s", file=sys.stderr, flush=True)
    for what in (what for outcome in outcomes for what in outcome.wrong):
        print(f"  WRONG: {what}", file=sys.stderr, flush=True)


def _figures(tries: list[list[Outcome]]) -> dict[str, Any]:
    outcomes = [outcome for one in tries for outcome in one]
    pauses = [pause for outcome in outcomes for pause in outcome.pauses] or [0.0]
    return {
        "tries": len(tries),
        "answers": len(outcomes),
        "whole": sum(not outcome.wrong for outcome in outcomes),
        "pause_median_s": round(statistics.median(pauses), 2),
        "pause_worst_s": round(max(pauses), 2),
        "wrong": [what for outcome in outcomes for what in outcome.wrong],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-failover", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=20, help="of each case but valkey-killed; default: 20")
    parser.add_argument("--outages", type=int, default=3, help="of Valkey, with 100 streams each; default: 3")
    parser.add_argument("--lease", type=float, default=5, help="seconds; 20 are shipped; default: 5")
    # With three, the next try need not wait for the one that was killed, but each takes about 4 GB of memory.
    parser.add_argument("--workers", type=int, default=2, help="of worker-killed; at least 2, default: 2")
    parser.add_argument("--simulated", action="store_true", help="no real engine")
    parser.add_argument("--seed", type=int, default=1, help="decides when processes are struck; default: 1")
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=", ".join(CASES)
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "failover.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
