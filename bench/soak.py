"""Does anything grow that should not?  `make bench-soak`

Twenty minutes of steady load on two gateways and three workers of simulated engines: requests that arrive at a
constant rate, as streams of both kinds, whole answers and images, from clients that read slowly, leave, or drop
and come back. Prints how the memory of each process and of Redis developed after a warm-up, what was left in Redis
once everything had expired, how the processes ended when told to, and what an open stream takes in Redis.
"""

import argparse
import base64
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import psutil

from bench.footprint import footprints, per_token
from bench.growth import MIB, Samples, Trend
from bench.machine import save
from shared import redis_keys as keys
from tests.chaos.audit import differences
from tests.chaos.client import GRACE, Client
from tests.chaos.http_clients import HttpClient
from tests.chaos.ledger import Entry
from tests.chaos.questions import words_of_their_own
from tests.chaos.run import CLIENTS
from tests.chaos.schedule import HABITS, Schedule
from tests.chaos.subject import SIMULATED
from tests.cluster import ROOT, Cluster, Process, cluster
from tests.conftest import simulated_model

CHATS, PICTURES, STORIES = "chats", "pictures", "stories"
MODELS = {
    CHATS: simulated_model(tokens_per_second=12, capacity=64),
    PICTURES: simulated_model(kind="image", tokens_per_second=12),
    STORIES: simulated_model(tokens_per_second=200, length=4000),
}
SETTINGS = {"log_ttl": 30, "job_timeout": 60}  # short, so that a steady state is reached soon
EVERY = 5.0  # seconds between samples
WARM_UP = 0.25  # of the run, which counts for no trend
MOST_OPEN = 200  # requests
PATIENCE = 90.0  # seconds for one
IMAGES = 10  # every so many requests, one for an image
REST = 30.0  # seconds beyond the longest expiry
MOST_SLOPE = 2.0  # MiB per hour, beyond its error: the target
SHORTEST = 10.0  # minutes of a run whose slopes mean something

STAYS = ("_kombu.*", "limit:*:86400:*", keys.speeds("*"))
"""Keys that outlast a run: a constant number for each model, and what accounts have used until the day is over."""

RUNS = (
    *STAYS,
    keys.WORKERS,
    keys.worker("*"),
    keys.pool("*"),
    keys.RECOVERY,
    keys.lease_mutex("*"),
    keys.USAGE_MUTEX,
)
"""Keys that are there while gateways and workers run."""


class ImageClient(HttpClient):
    """One image, as OpenAI's clients ask for it."""

    def ask(self, url: str) -> None:
        body = {"model": PICTURES, "prompt": self.request.question.prompt}
        address = f"{url}/v1/images/generations"
        with self.session.post(address, json=body, headers=self.headers(), timeout=self.timeout) as response:
            if not self.accepted(response):
                return
            (image,) = response.json()["data"]
        if not base64.b64decode(image["b64_json"]).startswith(b"\x89PNG"):
            self.entry.wrong("got what is no PNG")
        self.entry.finish("answered")

    def faults(self) -> list[str]:
        """What is wrong with what it saw."""
        return [*self.entry.faults, *([] if self.entry.end == "answered" else [f"ended with {self.entry.end!r}"])]


class Load:
    """Requests at a constant rate, each by a client with a thread of its own."""

    def __init__(self, urls: list[str], tiers: dict[bool, str], rate: float) -> None:
        self.ends: Counter[str] = Counter()
        self.failures: list[str] = []
        self.open = 0
        self._urls, self._tiers, self._rate = urls, tiers, rate
        self._schedule, self._questions = Schedule(SIMULATED, 0, 0, HABITS, 1), words_of_their_own(CHATS)
        self._zero = time.monotonic()
        self._lock = threading.Lock()

    def run(self, seconds: float) -> None:
        """Ask for so long, and wait for the answers."""
        with ThreadPoolExecutor(MOST_OPEN) as pool:
            asked: set[Future[None]] = set()
            for number in range(1, int(seconds * self._rate) + 1):
                time.sleep(max(0.0, self._zero + number / self._rate - time.monotonic()))
                asked = {one for one in asked if not one.done()}
                if len(asked) >= MOST_OPEN:
                    raise AssertionError(f"{MOST_OPEN} requests are open: the machine is too slow for this rate")
                asked.add(pool.submit(self._ask, number))

    def _ask(self, number: int) -> None:
        request = self._schedule.request(number, self._questions)
        entry = Entry(request, self._zero, opened=time.monotonic() - self._zero)
        client = self._client(number, entry)
        self._count(1)
        try:
            client.run()
        except Exception as error:
            entry.wrong(f"what it got cannot be read: {error!r}")
        finally:
            self._count(-1)
        with self._lock:
            self.ends[entry.end or "none"] += 1
            if wrong := client.faults() if isinstance(client, ImageClient) else faults(entry):
                self.failures.append(f"{entry.request}: {wrong}; {entry.history[-5:]}")

    def _client(self, number: int, entry: Entry) -> Client:
        kind: type[Client] = ImageClient if number % IMAGES == 0 else CLIENTS[entry.request.kind]
        return kind(self._urls, self._tiers[entry.request.premium], entry, PATIENCE)

    def _count(self, more: int) -> None:
        with self._lock:
            self.open += more


def faults(entry: Entry) -> list[str]:
    """What is wrong with what one client saw of a system that nothing strikes."""
    wanted, found = entry.request.question, list(entry.faults)
    found += [f"refused with {status} {code}" for status, code, _ in entry.refusals]
    if entry.end == "answered":
        return found + differences(wanted, entry.text, entry.usage, entry.finish_reason)
    if entry.request.leaves is None or not wanted.text.startswith(entry.text):
        found.append(f"ended with {entry.end!r} after {entry.text[-40:]!r}")
    return found


class Watch:
    """Samples processes and Redis until it is stopped, and says every minute how they are."""

    def __init__(self, running: Cluster, processes: dict[str, Process], load: Load) -> None:
        self.samples = Samples()
        self._redis, self._processes, self._load = running.valkey.client, processes, load
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        start = time.monotonic()
        for number in itertools.count():
            if self._stop.wait(start + number * EVERY - time.monotonic()):
                return
            self.samples.add(time.monotonic() - start, self._now())
            if number % 12 == 0:
                print(f"{number * EVERY / 60:6.1f} min  {self._said()}", flush=True)

    def _now(self) -> dict[str, float]:
        memory: Any = self._redis.info("memory")
        handles = {
            f"{name} handles": float(psutil.Process(p.pid).num_fds()) for name, p in self._processes.items()
        }
        return {
            **{name: process.rss() / MIB for name, process in self._processes.items()},
            "Redis": memory["used_memory"] / MIB,
            "keys": float(self._redis.dbsize()),
            "open": float(self._load.open),
            **handles,
        }

    def _said(self) -> str:
        latest = self.samples.latest
        memory = ", ".join(f"{name} {latest(name):.1f}" for name in (*self._processes, "Redis"))
        return f"{memory} MiB; {latest('keys'):.0f} keys, {latest('open'):.0f} open"


def left_over(running: Cluster, known: tuple[str, ...]) -> list[str]:
    """Names in Redis that are none of those known; waits for what expires."""
    longest = max(SETTINGS["log_ttl"] + SETTINGS["job_timeout"], GRACE)
    deadline = time.monotonic() + longest + REST
    while True:
        names = {name.decode() for name in running.valkey.client.scan_iter(count=1000)}
        if running.valkey.client.xlen(keys.USAGE) == 0:
            names.discard(keys.USAGE)  # an empty stream stays, and is nothing
        found = [name for name in names if not any(fnmatch(name, pattern) for pattern in known)]
        if not found or time.monotonic() > deadline:
            return sorted(found)
        time.sleep(0.5)


def soak(running: Cluster, args: argparse.Namespace) -> dict[str, Any]:
    processes, urls = {}, []
    for number in range(2):
        processes[f"gateway {number}"] = running.start_gateway()
        urls.append(running.url)
    processes |= {f"worker {number}": running.start_worker(CHATS) for number in range(2)}
    processes["worker of images"] = running.start_worker(PICTURES)
    storyteller = running.start_worker(STORIES)
    streams = footprints(running, STORIES)
    statuses = {"worker of stories": storyteller.stop()}

    load = Load(urls, {True: running.key("premium"), False: running.key("free")}, args.rate)
    watch = Watch(running, processes, load)
    spent, start = sum(process.cpu() for process in processes.values()), time.monotonic()
    load.run(60 * args.minutes)
    busy = (sum(process.cpu() for process in processes.values()) - spent) / (time.monotonic() - start)
    watch.stop()
    rest = left_over(running, RUNS)
    settled = {name: round(process.rss() / MIB, 1) for name, process in processes.items()}
    for name in reversed(processes):
        statuses[name] = processes[name].stop(40)
    samples, after = watch.samples, WARM_UP * 60 * args.minutes
    return {
        "minutes": args.minutes,
        "requests_per_second": args.rate,
        "requests": load.ends.total(),
        "ends": dict(load.ends),
        "failures": load.failures,
        "open_on_average": round(samples.mean("open", after), 1),
        "cores_of_gateways_and_workers": round(busy, 2),
        "trends": {name: _rounded(samples.trend(name, after)) for name in samples.names()},
        "after_rest_mib": settled,
        "left_over": rest,
        "left_over_after_the_end": left_over(running, STAYS),
        "exit_statuses": statuses,
        "stream_in_redis_bytes": [one._asdict() | {"total": one.total} for one in streams],
        "token_in_redis_bytes": round(per_token(streams), 1),
    }


def _rounded(trend: Trend) -> dict[str, float]:
    return {name: round(value, 2) for name, value in trend._asdict().items()}


def troubles(found: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    wrong = [f"failed: {failure}" for failure in found["failures"]]
    wrong += [f"left over in Redis: {name}" for name in found["left_over"]]
    wrong += [f"left over in Redis after the end: {name}" for name in found["left_over_after_the_end"]]
    wrong += [f"{name} ended with {status}" for name, status in found["exit_statuses"].items() if status]
    if found["minutes"] >= SHORTEST:
        growing = [name for name in (*found["after_rest_mib"], "Redis") if _grows(found["trends"][name])]
        wrong += [f"{name} grows" for name in growing]
    return wrong


def _grows(trend: dict[str, float]) -> bool:
    return Trend(**trend).exceeds(MOST_SLOPE)


def show(found: dict[str, Any]) -> None:
    ends = ", ".join(f"{count} {end}" for end, count in sorted(found["ends"].items()))
    print(f"{found['requests']} requests in {found['minutes']:g} min: {ends}; {len(found['failures'])} failed")
    print(f"{found['open_on_average']} open on average, {found['cores_of_gateways_and_workers']} cores busy")
    print(f"after a warm-up of {WARM_UP:.0%}   start        end           per hour   ± error     at rest")
    for name, trend in found["trends"].items():
        unit = "MiB" if name in (*found["after_rest_mib"], "Redis") else "   "
        line = "{start:10.1f} {unit} {end:7.1f} {unit} {slope:+12.2f} {unit} {error:7.2f}".format(
            unit=unit, **trend
        )
        print(f"  {name:20}{line}{found['after_rest_mib'].get(name, ''):>12}")
    print("an open stream in Redis, bytes:   tokens    record       log   message     total")
    for one in found["stream_in_redis_bytes"]:
        print("{:32} {tokens:7} {record:9} {log:9} {message:9} {total:9}".format("", **one))
    print(f"  a token of a long one: {found['token_in_redis_bytes']}")
    for when in ("left_over", "left_over_after_the_end"):
        print(f"keys {when.replace('_', ' ')}: {len(found[when])}  {', '.join(found[when][:10])}")
    print("exit statuses:", ", ".join(f"{name} {status}" for name, status in found["exit_statuses"].items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=9, help="requests per second")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "soak.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), MODELS, **SETTINGS) as running:
        found = soak(running, args)
    show(found)
    save(args.out, found)
    for wrong in (wrongs := troubles(found)):
        print(f"  WRONG: {wrong}")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
