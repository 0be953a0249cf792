"""What does it cost the gateway to relay a token?  `make bench-relay`

Streams of the simulated engine, through one gateway: tokens relayed per second of processor time that the system
counts for it, and what the worker and Valkey take beside it. With `--against PATH`, another checkout of the
project is measured in turn, round by round, so that a busy minute of the machine hurts both.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.machine import save
from bench.peers.load import asking, readers
from tests.cluster import ROOT, Cluster, Process, cluster
from tests.conftest import simulated_model

REST = 0.01  # seconds between two looks at what has come: this process shares the machine with those it measures
LONGEST = 4_000  # words: no answer ends while it is measured


class Contender:
    """One checkout's system."""

    def __init__(self, running: Cluster) -> None:
        self._running = running
        self.gateway = running.start_gateway()
        self.worker = running.start_worker("m")

    def measure(self, count: int, seconds: float) -> dict[str, float]:
        with readers(self._running.url, REST) as load:
            load.open(asking("m", self._running.key(), stream=True), [0.0] * count)
            load.begin()
            processes = {"gateway": self.gateway, "worker": self.worker, "valkey": self._running.valkey.process}
            before, start = _cpu(processes), time.monotonic()
            tokens = load.read(seconds)
            took, used = time.monotonic() - start, _cpu(processes)
            assert not load.ended, "a stream has ended"
        spent = {name: used[name] - before[name] for name in processes}
        per_token = {f"{name}_us_per_token": 1e6 * spent[name] / tokens for name in processes}
        return {"tokens_per_second": tokens / took, "tokens_per_cpu_second": tokens / spent["gateway"]} | per_token


def _cpu(processes: dict[str, Process]) -> dict[str, float]:
    return {name: process.cpu() for name, process in processes.items()}


@contextmanager
def contenders(args: argparse.Namespace) -> Iterator[dict[str, Contender]]:
    roots = {"here": ROOT} | ({"against": args.against.resolve()} if args.against else {})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = simulated_model(tokens_per_second=args.pace, capacity=1024, length=LONGEST) | {
            "context": 2 * LONGEST,
            "max_tokens": LONGEST,
        }
        yield {
            name: Contender(stack.enter_context(cluster(folder / name, {"m": model}, root=root)))
            for name, root in roots.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[64, 512], help="how many at once")
    parser.add_argument("--pace", type=float, default=20, help="tokens per second of a stream")
    parser.add_argument("--seconds", type=float, default=10, help="of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout, to be measured in turn")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "relay.json")
    args = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    with contenders(args) as systems:
        for count in args.streams:
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
            for _ in range(args.rounds):
                for name, system in systems.items():
                    rounds[name].append(system.measure(count, args.seconds))
            figures[str(count)] = {name: _medians(measured) for name, measured in rounds.items()}
            show(count, figures[str(count)])
    save(args.out, figures)


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(each[name] for each in rounds), 1) for name in rounds[0]}


def show(count: int, measured: dict[str, dict[str, float]]) -> None:
    print(
        f"{count} streams"
        + "".join(f"{name:>12}" for name in measured)
        + ("     ratio" if len(measured) > 1 else "")
    )
    for name in measured["here"]:
        values = [system[name] for system in measured.values()]
        ratio = f"{values[0] / values[1]:10.2f}" if len(values) > 1 else ""
        print(f"  {name:26}" + "".join(f"{value:12.1f}" for value in values) + ratio, flush=True)


if __name__ == "__main__":
    main()
