"""Can a quota be overspent, and what does admission cost?  `make bench-spending`

Two hundred spenders share one account's quota over two gateways: each asks, and asks again, until nothing is left.
In a second run a worker is killed now and then. What the ledger says was spent is compared with the quota: not a
unit more, and no more left than one request needs. Then, without strain, what one request costs the gateway, and
how many round trips to Redis its admission takes.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from bench.machine import save
from gateway.costs import most
from shared import redis_keys as keys
from shared.ledger import Ledger
from shared.lines import Lines, Scope
from shared.queues import Envelope, make_celery
from shared.tiers import Limits
from tests.cluster import ROOT, Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import make_job, make_model, make_terms

QUOTA = 200_000  # units a day
MOST_WORDS = 60  # of an answer; at most this many tokens are reserved for it
PATIENCE = 120.0  # seconds for all spenders to run dry
AGAIN = 0.05  # seconds until a spender that was refused asks again
LEASE = 2.0  # seconds


class Spenders:
    """Clients of one account, who ask until nothing is left."""

    def __init__(self, running: Cluster, urls: list[str], key: str, count: int) -> None:
        self.answers: Counter[str] = Counter()
        self._redis, self._urls, self._key, self._count = running.valkey.client, urls, key, count
        self._lock = threading.Lock()

    def run(self) -> None:
        with ThreadPoolExecutor(self._count) as pool:
            for done in [pool.submit(self._spend, number) for number in range(self._count)]:
                done.result()

    def _spend(self, number: int) -> None:
        chance, session = random.Random(number), requests.Session()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            # As long as jobs are open, some of what they have reserved may be given back.
            idle = self._redis.zcard(keys.open_jobs("m")) == 0
            refused = not self._ask(session, chance)
            if refused and idle:
                return
            if refused:
                time.sleep(AGAIN * chance.random())
        raise AssertionError(f"spender {number} has not run dry")

    def _ask(self, session: requests.Session, chance: random.Random) -> bool:
        """Whether it was admitted."""
        response = session.post(
            f"{chance.choice(self._urls)}/v1/chat/completions",
            json=_body(chance.randint(1, MOST_WORDS)),
            headers={"X-API-Key": self._key},
            timeout=60,
        )
        code = "answered" if response.ok else response.json()["error"]["code"]
        with self._lock:
            self.answers[code] += 1
        return response.status_code != 429


def _body(words: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": "echo " + " ".join(["w"] * words)}]
    return {"model": "m", "messages": messages, "max_tokens": MOST_WORDS}


def spend(running: Cluster, count: int, kills: float) -> dict[str, Any]:
    """Let them spend; `kills` is how often a second a worker is killed."""
    urls = []
    for _ in range(2):
        running.start_gateway()
        urls.append(running.url)
    workers = [running.start_worker("m") for _ in range(2)]
    spenders, over = Spenders(running, urls, running.key("metered"), count), threading.Event()
    killer = threading.Thread(target=_kill, args=(running, workers, kills, over), daemon=True)
    killer.start()
    spenders.run()
    over.set()
    killer.join(30)
    client = running.valkey.client
    wait_for(lambda: client.zcard(keys.open_jobs("m")) == 0, 30, "all jobs to end")
    wait_for(lambda: client.xlen(keys.USAGE) == 0, 30, "the ledger to be written")
    rows = Ledger(running.settings.sql_url).rows(None, limit=10**6)
    spent = sum(row.units for row in rows)
    (counter,) = client.scan_iter("limit:*:86400:*")
    return {
        "spenders": count,
        "quota": QUOTA,
        "spent": spent,
        "overspent": max(0, spent - QUOTA),
        "left": QUOTA - spent,
        "most_for_a_request": most(make_model(context=4096), "chat", _body(MOST_WORDS)).units,
        "counter": int(client.hget(counter, "units") or 0),
        "rows": len(rows),
        "answers_without_row": spenders.answers["answered"] - sum(row.state == "succeeded" for row in rows),
        "states": dict(Counter(row.state for row in rows)),
        "answers": dict(spenders.answers),
    }


def _kill(running: Cluster, workers: list[Process], rate: float, over: threading.Event) -> None:
    while rate and not over.wait(1 / rate):
        victim = workers.pop(0)
        victim.kill()
        workers.append(running.spawn_worker("m"))


def admission(running: Cluster, count: int) -> dict[str, Any]:
    """What a request costs that waits for nothing, and what of that is its admission."""
    running.start_gateway()
    gateway = running.processes[-1]
    running.start_worker("m")
    session, headers = requests.Session(), {"X-API-Key": running.key("metered")}

    def ask() -> str:
        url = f"{running.url}/v1/chat/completions"
        response = session.post(url, json=_body(1), headers=headers, timeout=20)
        assert response.ok, response.text
        return response.headers["X-Job-Id"]

    for _ in range(50):
        ask()
    before = gateway.cpu()
    for _ in range(count):
        ask()
    whole = (gateway.cpu() - before) / count
    return {
        "requests": count,
        "gateway_cpu_us_per_request": round(1e6 * whole, 1),
        "admission_cpu_us": round(1e6 * _alone(running, count), 1),
        "redis_commands_of_the_gateway_for_a_request": _commands(running, gateway, ask),
    }


def _alone(running: Cluster, count: int) -> float:
    """Processor seconds of an admission, in this process: its cost, its message, and the one call."""
    model, tier = make_model(context=4096), make_terms()
    lines, envelope = Lines(running.valkey.client, log_ttl=60), Envelope(make_celery(running.settings))
    jobs = [make_job(f"job_{number}", model="alone", body=_body(1)) for number in range(count)]
    start = time.process_time()
    for job in jobs:
        cost = most(model, "chat", job.body)
        terms = replace(tier, rates=cost.rates, units=cost.units, scopes=[Scope("alone", Limits())])
        verdict = lines.admit(job, envelope.message(job, 6), "r", terms, most_waiting=2 * count, now=time.time())
        assert not verdict.refusal
    return (time.process_time() - start) / count


def _commands(running: Cluster, gateway: Process, ask: Callable[[], str]) -> list[str]:
    """What the gateway sends to Redis about one job, which waits for nothing."""
    ports = {connection.laddr.port for connection in psutil.Process(gateway.pid).net_connections()}
    sent = []
    with running.valkey.client.monitor() as monitor:  # type: ignore[no-untyped-call]
        job = ask()
        running.valkey.client.echo("done")
        for command in monitor.listen():
            if command["command"].upper().startswith("ECHO DONE"):
                break
            if int(command["client_port"] or 0) in ports and job in command["command"]:
                sent.append(command["command"].split(" ")[0])
    return sent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spenders", type=int, default=200)
    parser.add_argument("--kills", type=float, default=0.5, help="workers killed a second, in the second run")
    parser.add_argument("--requests", type=int, default=1000, help="whose admission is measured")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "spending.json")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, kills in (("undisturbed", 0.0), ("workers_killed", args.kills)):
        with tempfile.TemporaryDirectory() as folder, metered(Path(folder)) as running:
            figures[name] = spend(running, args.spenders, kills)
        show(name, figures[name])
    with tempfile.TemporaryDirectory() as folder, metered(Path(folder), quota=None) as running:
        figures["admission"] = admission(running, args.requests)
    print(f"admission: {figures['admission']}")
    save(args.out, figures)
    spent = [figures[name] for name in ("undisturbed", "workers_killed")]
    return int(any(figure["overspent"] or figure["answers_without_row"] for figure in spent))


def metered(folder: Path, quota: int | None = QUOTA) -> AbstractContextManager[Cluster]:
    """A cluster with a tier of this quota."""
    tiers, limits = folder / "tiers.yaml", {"units_per_day": quota}
    tiers.write_text(
        yaml.safe_dump({"tiers": {"metered": {"description": "Of one quota.", "priority": 6, "limits": limits}}})
    )
    models = {"m": simulated_model(tokens_per_second=200, capacity=64)}
    return cluster(folder, models, tiers_file=tiers, lease=LEASE, max_attempts=20)


def show(name: str, figure: dict[str, Any]) -> None:
    print(
        f"{name}: {figure['spenders']} spenders of {figure['quota']} units: overspent {figure['overspent']}, "
        f"left {figure['left']} (a request reserves up to {figure['most_for_a_request']}); "
        f"{figure['rows']} rows, {figure['answers_without_row']} missing; {figure['states']}; {figure['answers']}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
