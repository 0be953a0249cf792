"""What does one slow reader cost?  `make bench-slow-reader`

Twenty normal streams, first alone, then beside a Socket.IO client that takes 1 KB/s of an answer of 800 KB, which
the engine has finished long before. Prints what the twenty see in both runs, and the gateway's memory meanwhile.
"""

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine import save
from tests.cluster import ROOT, Cluster, Process, cluster
from tests.conftest import simulated_model
from tests.slow_reader import SlowReader
from tests.streams import Stream, streams

PACE = 50  # tokens per second of a normal stream
LONG = [f"{number:04}{'x' * 196}" for number in range(4000)]


def normal_readers(running: Cluster, args: argparse.Namespace) -> list[Stream]:
    """Twenty streams to their ends."""
    words = " ".join(f"w{number}" for number in range(args.seconds * PACE))
    with streams(running, "normal", f"echo {words}", args.readers) as opened:
        pass
    assert all(stream.text == words for stream in opened), "a normal reader got something else"
    return opened


def beside_a_slow_one(running: Cluster, gateway: Process, args: argparse.Namespace) -> dict[str, Any]:
    words = " ".join(f"w{number}" for number in range(args.seconds * PACE))
    reader = SlowReader(running.url, args.pace)
    memory = [gateway.rss()]
    with streams(running, "normal", f"echo {words}", args.readers) as opened:
        context = [{"role": "user", "content": "echo " + " ".join(LONG)}]
        reader.ask({"model": "long", "context": context, "token": running.key()})
        start = time.monotonic()
        events = []
        for _ in range(args.seconds):
            events += reader.read(1.0)
            memory.append(gateway.rss())
        pace = reader.taken / (time.monotonic() - start)
    assert all(stream.text == words for stream in opened), "a normal reader got something else"
    if not args.whole:
        reader.hurry()
    events += reader.read()
    took = time.monotonic() - start
    memory.append(gateway.rss())
    text = "".join(data for event, data in events if event == "chunk")
    return {
        "normal": opened,
        "pace": round(pace),
        "seconds": round(took, 1),
        "text_right": text == " ".join(LONG) + "ENDOFMESSAGE",
        "text_bytes": len(text),
        "memory_mib": [round(size / 2**20, 1) for size in memory],
    }


def seen(opened: list[Stream]) -> dict[str, float]:
    """Speed of a stream, and the gaps between its chunks in milliseconds."""
    gaps = [(later - earlier) * 1000 for stream in opened for earlier, later in pairwise(stream.times)]
    cuts = statistics.quantiles(gaps, n=100, method="inclusive")
    speeds = [len(stream.times) / (stream.times[-1] - stream.times[0]) for stream in opened]
    return {
        "tokens_per_second": round(statistics.median(speeds), 2),
        "gap_p50_ms": round(cuts[49], 2),
        "gap_p99_ms": round(cuts[98], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--pace", type=float, default=1024, help="bytes per second of the slow reader")
    parser.add_argument("--whole", action="store_true", help="let it read all of its answer at that pace")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "slow_reader.json")
    args = parser.parse_args()
    models = {
        "normal": simulated_model(tokens_per_second=PACE),
        "long": simulated_model(tokens_per_second=800, length=4000),
    }
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), models) as running:
        gateway = running.start_gateway()
        running.start_worker("normal")
        running.start_worker("long")
        normal_readers(running, argparse.Namespace(**vars(args) | {"seconds": 2}))
        alone = seen(normal_readers(running, args))
        slow = beside_a_slow_one(running, gateway, args)
    figures = {"alone": alone, "beside": seen(slow.pop("normal")), "slow_reader": slow}
    show(figures, args)
    args.out.parent.mkdir(exist_ok=True)
    save(args.out, figures)


def show(figures: dict[str, Any], args: argparse.Namespace) -> None:
    alone, beside, slow = figures["alone"], figures["beside"], figures["slow_reader"]
    print(f"{args.readers} streams of {PACE} tok/s, {args.seconds} s   alone    beside a slow reader   ratio")
    for name in alone:
        print(f"  {name:20} {alone[name]:16} {beside[name]:22} {beside[name] / alone[name]:13.3f}")
    right = "every byte right" if slow["text_right"] else "WRONG"
    memory = slow["memory_mib"]
    rest = "all of it" if args.whole else "the rest at full speed"
    print(f"  slow reader: {slow['pace']} bytes/s, {rest}")
    print(f"  its answer: {slow['text_bytes']} bytes in {slow['seconds']} s, {right}")
    print(f"  gateway memory: {memory[0]} MiB before, {max(memory)} MiB at most, {memory[-1]} MiB at the end")


if __name__ == "__main__":
    main()
