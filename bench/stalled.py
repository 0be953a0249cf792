"""What do clients cost that ask for an answer, and then read nothing?  `make bench-stalled`

Twenty normal streams, by turns alone and beside 500 stalled readers: clients over SSE and over Socket.IO that have
asked for more than the kernels hold for them, and take none of it. The engine has finished their answers by then;
what is not read waits in the jobs' logs. Prints what the twenty see, and the most memory that the gateway and
Redis had, from the asking on. At the end of a round some of the stalled wake up, and must get every byte.

After 145 s the stalled are cut off, which tests/integration/test_stalled.py shows; no round is to last so long.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.machine import save
from bench.slow_reader import seen
from shared import redis_keys as keys
from tests import wire
from tests.cluster import ROOT, Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model
from tests.slow_reader import SlowReader
from tests.streams import Stream, streams

PACE = 50  # tokens per second of a normal stream
NARROW = 4096  # bytes of a stalled reader's receive buffer
WOKEN = 5  # stalled readers of each kind that read in the end
FILLED = 120.0  # seconds for the engine to finish what nobody reads
MOST_GROWTH = 50  # MiB of the gateway's memory: the target
LEAST_SPEED = 0.9  # of the slowest normal stream, of what they have alone: the target
MIB = 2**20


class Events:
    """Asks for server-sent events, and reads nothing. Each of its words makes an event of 220 bytes."""

    def __init__(self, running: Cluster, key: str, number: int) -> None:
        self.text = " ".join(f"{number}w{place}" for place in range(1000))
        messages = [{"role": "user", "content": f"echo {self.text}"}]
        body = json.dumps({"model": "long", "stream": True, "messages": messages}).encode()
        self._raw = wire.dial(running, 60, buffer=NARROW)
        self._raw.sendall(wire.request(path="/v1/chat/completions", body=body, X_API_Key=key))

    def wake(self) -> str:
        """Read to the end: the text that came."""
        events = wire.answer(self._raw, "POST").body.decode().split("\n\n")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events if event.startswith("data: {")]
        return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])

    def close(self) -> None:
        self._raw.close()


class Socket:
    """The same over Socket.IO, where text travels without an envelope: its words are long."""

    def __init__(self, running: Cluster, key: str, number: int) -> None:
        self.text = " ".join(f"{number}w{place}{'x' * 1000}" for place in range(100))
        context = [{"role": "user", "content": f"echo {self.text}"}]
        self._reader = SlowReader(running.url, 1e9, buffer=NARROW)
        self._reader.ask({"model": "long", "context": context, "token": key})

    def wake(self) -> str:
        """Read to the end: the text that came."""
        self._reader.hurry()
        chunks = [data for event, data in self._reader.read() if event == "chunk"]
        return "".join(chunks).removesuffix("ENDOFMESSAGE")

    def close(self) -> None:
        self._reader.close()


class Memory:
    """The gateway's and Redis's memory, before and at most, in bytes, while the context lasts."""

    def __init__(self, running: Cluster, gateway: Process) -> None:
        self._redis, self._gateway = running.valkey.client, gateway
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self.before = self.most = self._now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            gateway, redis = self._now()
            self.most = (max(self.most[0], gateway), max(self.most[1], redis))

    def _now(self) -> tuple[int, int]:
        return self._gateway.rss(), int(self._redis.info("memory")["used_memory"])


class Bench:
    def __init__(self, running: Cluster, gateway: Process, args: argparse.Namespace) -> None:
        self._running, self._gateway, self._args = running, gateway, args
        self._key = running.key()
        self.alone: list[Stream] = []
        self.beside: list[Stream] = []
        self.rounds: list[dict[str, Any]] = []

    def round(self) -> None:
        """The normal streams alone, and then beside the stalled readers."""
        self.alone += self.normal(self._args.seconds)
        with Memory(self._running, self._gateway) as memory:
            start = time.monotonic()
            with self._stalled() as stalled:
                filled = time.monotonic() - start
                self.beside += self.normal(self._args.seconds)
                unread = self._unread()
                lasted = time.monotonic() - start
                right = [reader.wake() == reader.text for reader in _some(stalled)]
        self.rounds.append(
            {
                "filled_s": round(filled, 1),
                "lasted_s": round(lasted, 1),
                "stalled": sum(size > 0 for size in unread),
                "unread_kib": round(statistics.mean(unread) / 1024, 1),
                "woken": len(right),
                "woken_right": sum(right),
                "gateway_before_mib": round(memory.before[0] / MIB, 1),
                "gateway_most_mib": round(memory.most[0] / MIB, 1),
                "redis_before_mib": round(memory.before[1] / MIB, 1),
                "redis_most_mib": round(memory.most[1] / MIB, 1),
            }
        )

    def normal(self, seconds: int) -> list[Stream]:
        """The normal streams to their ends."""
        words = " ".join(f"w{number}" for number in range(seconds * PACE))
        with streams(self._running, "normal", f"echo {words}", self._args.normal) as opened:
            pass
        assert all(stream.text == words for stream in opened), "a normal reader got something else"
        return opened

    @contextmanager
    def _stalled(self) -> Iterator[list[Events | Socket]]:
        """Stalled readers, once the engine is done with their answers; they leave in the end."""
        kinds: list[type[Events | Socket]] = [Socket] * self._args.sockets
        kinds += [Events] * (self._args.stalled - self._args.sockets)
        logs, client = self._logs(), self._running.valkey.client
        opened = [kind(self._running, self._key, number) for number, kind in enumerate(kinds)]
        wait_for(lambda: self._logs() - logs == len(kinds), FILLED, "the jobs to begin", self._gateway, every=0.5)
        wait_for(lambda: not client.zcard(keys.open_jobs("long")), FILLED, "their ends", self._gateway, every=0.5)
        try:
            yield opened
        finally:
            handles = self._handles()
            for reader in opened:
                reader.close()
            closed = handles - len(opened)
            wait_for(lambda: self._handles() <= closed, 20, "the gateway to miss them", self._gateway)

    def _logs(self) -> int:
        return sum(1 for _ in self._running.valkey.client.scan_iter(keys.log("*"), count=1000))

    def _handles(self) -> int:
        """Connections of the gateway."""
        return int(psutil.Process(self._gateway.pid).num_fds())

    def _unread(self) -> list[int]:
        """For every client of the gateway, bytes that the kernel has for it, sent and not received."""
        port = int(self._running.url.rsplit(":", 1)[1])
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = [row for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "01"]
        return [int(row[4].split(":")[0], 16) for row in ours]


def _some(readers: list[Events | Socket]) -> list[Events | Socket]:
    return [reader for kind in (Socket, Events) for reader in [r for r in readers if isinstance(r, kind)][:WOKEN]]


def speed(stream: Stream) -> float:
    """Tokens per second."""
    return (len(stream.times) - 1) / (stream.times[-1] - stream.times[0])


def figures(bench: Bench) -> dict[str, Any]:
    alone, beside = seen(bench.alone), seen(bench.beside)
    alone["slowest"], beside["slowest"] = (round(min(map(speed, some)), 2) for some in (bench.alone, bench.beside))
    before = bench.rounds[0]["gateway_before_mib"]
    return {
        "alone": alone,
        "beside": beside,
        # The slowest of them all, beside what one can expect alone.
        "slowest_ratio": round(beside["slowest"] / alone["tokens_per_second"], 3),
        "gateway_growth_mib": round(max(each["gateway_most_mib"] for each in bench.rounds) - before, 1),
        "rounds": bench.rounds,
    }


def troubles(found: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """What is not as it should be."""
    wrong = []
    for number, each in enumerate(found["rounds"], 1):
        if each["stalled"] < args.stalled:
            wrong.append(f"round {number}: only {each['stalled']} readers stalled, or they were cut off")
        if each["woken_right"] < each["woken"]:
            wrong.append(f"round {number}: {each['woken'] - each['woken_right']} that woke up missed some of it")
    if found["gateway_growth_mib"] > MOST_GROWTH:
        wrong.append(f"the gateway grew by {found['gateway_growth_mib']} MiB, target {MOST_GROWTH}")
    if found["slowest_ratio"] < LEAST_SPEED:
        wrong.append(f"the slowest normal stream had {found['slowest_ratio']} of its speed, target {LEAST_SPEED}")
    return wrong


def show(found: dict[str, Any], args: argparse.Namespace) -> None:
    alone, beside, rounds = found["alone"], found["beside"], found["rounds"]
    print(f"{args.normal} streams of {PACE} tok/s, {args.rounds} × {args.seconds} s", end="")
    print(f"     alone    beside {args.stalled} stalled   ratio")
    for name in alone:
        print(f"  {name:28} {alone[name]:12} {beside[name]:21} {beside[name] / alone[name]:9.3f}")
    print(f"  the slowest beside, of the median alone: {found['slowest_ratio']} (target {LEAST_SPEED})")
    print(f"  stalled: {args.sockets} over Socket.IO, {args.stalled - args.sockets} over SSE")
    print("  round   stalled   unread each   woken: right   gateway MiB: before, most   Redis MiB: before, most")
    for number, each in enumerate(rounds, 1):
        print("  {:5} {stalled:9} {unread_kib:9} KiB".format(number, **each), end="")
        print("{woken:9} {woken_right:6}".format(**each), end="")
        print("{gateway_before_mib:20} {gateway_most_mib:7}".format(**each), end="")
        print("{redis_before_mib:18} {redis_most_mib:7}".format(**each))
    print(f"  the gateway grew by {found['gateway_growth_mib']} MiB at most (target {MOST_GROWTH})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of a measurement alone, and one beside")
    parser.add_argument("--seconds", type=int, default=15, help="of one measurement")
    parser.add_argument("--normal", type=int, default=20)
    parser.add_argument("--stalled", type=int, default=500)
    parser.add_argument("--sockets", type=int, default=100, help="those of the stalled that use Socket.IO")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "stalled.json")
    args = parser.parse_args()
    models = {
        "normal": simulated_model(tokens_per_second=PACE),
        "long": simulated_model(tokens_per_second=20, capacity=args.stalled),
    }
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), models) as running:
        gateway = running.start_gateway()
        running.start_worker("normal")
        running.start_worker("long")
        bench = Bench(running, gateway, args)
        bench.normal(2)
        for _ in range(args.rounds):
            bench.round()
    found = figures(bench)
    show(found, args)
    save(args.out, found)
    for wrong in (wrongs := troubles(found, args)):
        print(f"  WRONG: {wrong}")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
