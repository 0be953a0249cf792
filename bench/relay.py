"""What does it cost the gateway to relay a token?  `make bench-relay`

Streams of the simulated engine, through one gateway: tokens relayed per second of processor time that the system
counts for it, and what the worker and Valkey take beside it. With `--against PATH`, another checkout of the
project is measured in turn, round by round, so that a busy minute of the machine hurts both.
"""

import argparse
import json
import selectors
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.machine import save
from tests.cluster import ROOT, Cluster, Process, cluster
from tests.conftest import simulated_model
from tests.wire import request

EVENT = b'"delta":{"content":'
PATIENCE = 60.0  # seconds in which all streams begin
LONGEST = 4_000  # words: no answer ends while it is measured


class Readers:
    """Streams that are open together, read as fast as they come; only their events are counted."""

    def __init__(self, running: Cluster, count: int) -> None:
        self.events = 0
        self._silent: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        asking, address = _asking(running), ("127.0.0.1", int(running.url.rsplit(":", 1)[1]))
        for _ in range(count):
            connection = socket.create_connection(address, timeout=10)
            connection.sendall(asking)
            self._selector.register(connection, selectors.EVENT_READ)
            self._silent.add(connection)

    def begin(self) -> None:
        """Until all streams have had a token: what a request costs is not what a token does."""
        until = time.monotonic() + PATIENCE
        while self._silent:
            assert time.monotonic() < until, f"{len(self._silent)} streams have not begun"
            self.read(0.5)

    def read(self, seconds: float) -> int:
        """How many tokens came in that time."""
        before, until = self.events, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(65536)
                if not data or b'{"error"' in data:
                    raise AssertionError(f"a stream has ended: {data[-300:]!r}")
                if events := data.count(EVENT):
                    self.events += events
                    self._silent.discard(key.fileobj)
            # Often enough, and not for every packet: this process shares the machine with those it measures.
            time.sleep(0.01)
        return self.events - before

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


class Contender:
    """One checkout's system."""

    def __init__(self, running: Cluster) -> None:
        self._running = running
        self.gateway = running.start_gateway()
        self.worker = running.start_worker("m")

    def measure(self, count: int, seconds: float) -> dict[str, float]:
        readers = Readers(self._running, count)
        try:
            readers.begin()
            processes = {"gateway": self.gateway, "worker": self.worker, "valkey": self._running.valkey.process}
            before, start = _cpu(processes), time.monotonic()
            tokens = readers.read(seconds)
            took, used = time.monotonic() - start, _cpu(processes)
        finally:
            readers.close()
        spent = {name: used[name] - before[name] for name in processes}
        per_token = {f"{name}_us_per_token": 1e6 * spent[name] / tokens for name in processes}
        return {"tokens_per_second": tokens / took, "tokens_per_cpu_second": tokens / spent["gateway"]} | per_token


def _asking(running: Cluster) -> bytes:
    messages = [{"role": "user", "content": "Tell me a long story."}]
    body = json.dumps({"model": "m", "stream": True, "messages": messages}).encode()
    return request(path="/v1/chat/completions", body=body, X_API_Key=running.key())


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
