"""How does cost grow with models, gateways, workers and waiting jobs?  `make bench-scaling`

One of them grows, the rest stays: 256 streams of the simulated engine, shared by what there is. Processor time is
what the system counts, of all gateways, of all workers, and of Redis. Then nothing is asked for, and what the
system costs all the same is counted. How cost grows is the slope in a double logarithmic plot: 0 is not at all,
1 in proportion.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.flood import Flood
from bench.machine import save
from bench.peers.load import asking, commands, readers
from shared import redis_keys as keys
from tests.cluster import ROOT, Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model

STREAMS = 256
PACE = 20.0  # tokens a second of each
IDLE = 20.0  # seconds without a request
LONGEST = 8_000  # tokens of an answer
JOBS = 2_000  # whose way through the line is measured
STARTS = 120.0  # seconds

Figures = dict[str, float]


class System:
    """A cluster that grows by name, under load."""

    def __init__(self, running: Cluster, gateways: int, models: list[str], workers: int) -> None:
        self._running = running
        self._key = running.key()
        self.urls = []
        self._parts: dict[str, list[Process]] = {"gateways": [], "workers": [], "redis": [running.valkey.process]}
        for _ in range(gateways):
            self._parts["gateways"].append(running.start_gateway())
            self.urls.append(running.url)
        for model in models:
            self._parts["workers"] += [running.spawn_worker(model) for _ in range(workers)]
        wait_for(lambda: self._ready() == workers * len(models), STARTS, "all workers to be ready", every=0.2)
        self.models = models

    def loaded(self, seconds: float) -> Figures:
        """What a token costs each part, in microseconds."""
        with ExitStack() as stack:
            loads = [stack.enter_context(readers(url)) for url in self.urls]
            for number in range(STREAMS):
                model = self.models[number % len(self.models)]
                question = asking(model, self._key, stream=True, max_tokens=LONGEST)
                loads[number % len(loads)].open(question, [0.002])
            for load in loads:
                load.begin()
            before, start, done = self._cpu(), time.perf_counter(), self._commands()
            counted = [load.tokens for load in loads]
            while time.perf_counter() < start + seconds:
                for load in loads:
                    load.read(0.02 / len(loads))
            tokens = sum(load.tokens - earlier for load, earlier in zip(loads, counted, strict=True))
            took, spent = time.perf_counter() - start, self._since(before)
            asked = self._commands() - done
        figures = {f"{name}_us_per_token": 1e6 * used / tokens for name, used in spent.items()}
        return figures | {
            "redis_commands_per_token": asked / tokens,
            "of_the_pace": tokens / took / STREAMS / PACE,
        }

    def idle(self) -> Figures:
        """What each part costs while nobody asks, in milliseconds of processor time a second."""
        self.wait_until_empty()
        before, done = self._cpu(), self._commands()
        time.sleep(IDLE)
        figures = {f"{name}_idle_ms_per_s": 1000 * used / IDLE for name, used in self._since(before).items()}
        return figures | {"redis_idle_commands_per_s": (self._commands() - done) / IDLE}

    def wait_until_empty(self) -> None:
        client = self._running.valkey.client
        wait_for(
            lambda: not any(client.zcard(keys.open_jobs(model)) for model in self.models), 30, "the jobs' end"
        )

    def _ready(self) -> int:
        return sum(report.state == "ready" for report in self._running.registry.workers())

    def _cpu(self) -> dict[str, float]:
        return {name: sum(process.cpu() for process in parts) for name, parts in self._parts.items()}

    def _since(self, before: dict[str, float]) -> dict[str, float]:
        return {name: after - before[name] for name, after in self._cpu().items()}

    def _commands(self) -> int:
        return commands(self._running.valkey)


def streamed(folder: Path, *, gateways: int = 1, models: int = 1, workers: int = 1, seconds: float) -> Figures:
    """Streams over so many gateways, of so many models, each with so many workers."""
    model = simulated_model(tokens_per_second=PACE, capacity=2 * STREAMS, length=LONGEST)
    catalogue = {f"m{number}": model | {"context": 2 * LONGEST, "max_tokens": LONGEST} for number in range(models)}
    with cluster(folder, catalogue) as running:
        system = System(running, gateways, list(catalogue), workers)
        return system.loaded(seconds) | system.idle()


def queued(folder: Path, waiting: int) -> Figures:
    """What Redis does for a job while so many wait: to admit it, and from the line to its end."""
    model = simulated_model(tokens_per_second=1000, capacity=16, length=20)
    with cluster(folder, {"m": model}) as running:
        flood, valkey = Flood(running), running.valkey
        flood.put("big", "free", waiting, 20)
        before = valkey.process.cpu()
        flood.put("big", "free", JOBS, 20)
        admitting = valkey.process.cpu() - before
        running.start_gateway()
        running.start_worker("m")
        before, start = valkey.process.cpu(), valkey.client.zcard(keys.open_jobs("m"))
        done = min(JOBS, start) - 20
        wait_for(lambda: valkey.client.zcard(keys.open_jobs("m")) <= start - done, 120, "jobs to end", every=0.05)
        serving = valkey.process.cpu() - before
        return {"redis_us_to_admit": 1e6 * admitting / JOBS, "redis_us_to_serve": 1e6 * serving / done}


def exponent(points: dict[int, float]) -> float | None:
    """The slope of the line through the logarithms; None where a figure is not above 0."""
    if len(points) < 2 or min(points.values()) <= 0:
        return None
    return statistics.linear_regression(
        [math.log(each) for each in points], [math.log(value) for value in points.values()]
    ).slope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--gateways", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--queued", type=int, nargs="*", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=8, help="of one measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "scaling.json")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="crofai-bench-") as folder:
        measures: dict[str, Callable[[Path, int], Figures]] = {
            "models": lambda at, count: streamed(at, models=count, seconds=args.seconds),
            "gateways": lambda at, count: streamed(at, gateways=count, seconds=args.seconds),
            "workers": lambda at, count: streamed(at, workers=count, seconds=args.seconds),
            "queued": queued,
        }
        for name, measure in measures.items():
            counts: list[int] = getattr(args, name)
            figures = {count: measure(Path(folder) / f"{name}-{count}", count) for count in counts}
            if figures:
                found[name] = _grown(figures)
                show(name, found[name])
    save(args.out, found)


def _grown(figures: dict[int, Figures]) -> dict[str, dict[str, Any]]:
    """By figure: its values, and how it grows."""
    names = next(iter(figures.values()))
    found = {}
    for name in names:
        points = {count: each[name] for count, each in figures.items()}
        grows = exponent(points)
        values = {str(count): round(value, 3) for count, value in points.items()}
        found[name] = {"values": values, "exponent": None if grows is None else round(grows, 2)}
    return found


def show(title: str, grown: dict[str, dict[str, Any]]) -> None:
    counts = next(iter(grown.values()))["values"]
    print(f"{title:28}" + "".join(f"{int(count):>10,}" for count in counts) + "  grows as n^")
    for name, figure in grown.items():
        power = "" if figure["exponent"] is None else f"{figure['exponent']:12.2f}"
        print(
            f"  {name:26}" + "".join(f"{value:10.1f}" for value in figure["values"].values()) + power, flush=True
        )


if __name__ == "__main__":
    main()
