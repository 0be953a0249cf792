"""This system, LiteLLM's proxy and the engine alone, in turn.  `make bench`

The engine is simulated: so many tokens a second for each stream, whoever asks. For the engine alone and for
LiteLLM it is a server of its own (Starlette, uvicorn, uvloop); here it is in the worker. Rounds are interleaved,
so that a busy minute of the machine hurts all. Processor time is what the system counts for each process.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.machine import save
from bench.peers import measure
from bench.peers.contenders import Contender, contenders
from bench.peers.load import percentile
from bench.peers.report import RESULTS, write

NAMES = ["engine", "litellm", "crofai"]
LOADS = {1: 50.0, 16: 50.0, 64: 50.0, 512: 20.0, 2000: 5.0}  # streams: tokens a second of each
PACE = 50.0  # where nothing else is said
QUICK = 1000.0  # tokens a second, where whole answers are asked for
WORDS = 8  # of a whole answer
CLIENTS = 64  # that ask for whole answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument("--contenders", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of one measurement")
    parser.add_argument("--requests", type=int, default=300, help="whose first token is waited for, in a round")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crofai-bench-") as folder:
        found = run(Path(folder), args)
    save(args.out, found)
    if args.out == RESULTS:
        write()


def run(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All figures, by what is measured, load and contender; each is a list of its rounds."""
    found: dict[str, Any] = {"streams": {}, "versions": {}}
    for count in args.streams:
        pace = LOADS[count]
        with contenders(_new(folder, f"streams-{count}"), args.contenders, pace, count) as running:
            found["versions"] |= {name: each.version for name, each in running.items() if each.version}
            found["streams"][str(count)] = _rounds(
                running,
                args.rounds,
                f"{count} streams",
                lambda each, n=count, p=pace: measure.streams(each, n, p, args.seconds),  # type: ignore[misc]
                enough=count,
            )
            _peaks(found, running, count)
    with contenders(_new(folder, "whole"), args.contenders, QUICK, CLIENTS) as running:
        found["whole"] = _rounds(
            running, args.rounds, "whole answers", lambda each: measure.whole(each, CLIENTS, WORDS, args.seconds)
        )
    with contenders(_new(folder, "capacity"), args.contenders, PACE, max(measure.COUNTS)) as running:
        most = {name: measure.capacity(each, PACE, 4) for name, each in running.items() if name != "engine"}
    # Anew: who has just been asked for more than it can do is still at it.
    with contenders(_new(folder, "first"), args.contenders, PACE, max(most.values())) as running:
        found["first_tokens"] = _first_tokens(running, most, args)
    return found


def _rounds(
    running: dict[str, Contender],
    rounds: int,
    title: str,
    one: Callable[[Contender], measure.Figures],
    enough: float = 0.0,
) -> dict[str, dict[str, list[float]]]:
    """Each contender's figures, round by round, in turn. Who has not begun enough streams is asked once, and then
    stands still: what it has not come to would weigh on the others."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in running}
    able = dict(running)
    for number in range(rounds):
        for name, contender in list(able.items()):
            figures = one(contender)
            if figures.get("begun", 0.0) < enough:
                able.pop(name).suspend()
            for figure, value in figures.items():
                found[name].setdefault(figure, []).append(round(value, 4))
            said = ", ".join(f"{figure} {value:.4g}" for figure, value in list(figures.items())[:4])
            print(f"{title}, round {number + 1}: {name:8} {said}", file=sys.stderr, flush=True)
    return found


def _peaks(found: dict[str, Any], running: dict[str, Contender], count: int) -> None:
    for name, contender in running.items():
        found["streams"][str(count)][name]["gateway_peak_mib"] = [round(contender.peak() / 2**20, 1)]


def _first_tokens(running: dict[str, Contender], most: dict[str, int], args: argparse.Namespace) -> dict[str, Any]:
    """At half of what each can serve, beside the engine alone at as many; and at LiteLLM's half, all."""
    print(f"most streams at their pace: {most}", file=sys.stderr)
    loads = sorted({max(1, count // 2) for count in most.values()})
    found: dict[str, Any] = {"most_streams": most, "loads": {}}
    for load in loads:
        able = {name: each for name, each in running.items() if most.get(name, load) >= load}
        seconds: dict[str, list[list[float]]] = {name: [] for name in able}
        for number in range(args.rounds):
            for name, each in able.items():
                seconds[name].append(measure.first_tokens(each, load, PACE, args.requests, number))
        found["loads"][str(load)] = {
            name: {
                f"p{part}_ms": [round(1000 * percentile(one, part / 100), 2) for one in rounds]
                for part in (50, 99)
            }
            for name, rounds in seconds.items()
        }
        for name, figures in found["loads"][str(load)].items():
            medians = {part: statistics.median(values) for part, values in figures.items()}
            print(f"first token, {load} streams: {name:8} {medians}", file=sys.stderr, flush=True)
    return found


def _new(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


if __name__ == "__main__":
    main()
