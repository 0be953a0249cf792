"""Who is served when all come at once?  `make bench-sharing`

One simulated worker, whose engine has sixteen places, and floods of jobs before it:

* fairness: one account with thousands of jobs in line, then ten that come with one each; and ten accounts whose
  lines are all long, but not equally so
* premium: its requests come now and then, while a flood of free jobs waits
* the reserved share: what free gets of the pool while floods of both wait
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from bench.flood import Begun, Flood
from bench.machine import save
from tests.cluster import ROOT, Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import TIERS

PLACES, PACE, WORDS = 16, 40.0, 20  # jobs at once; tokens a second of each; tokens of an answer: half a second
SERVICE = WORDS / PACE  # seconds
FLOOD = 5_000
TURNS = 60  # of ten accounts, that their shares are counted over
RATE = 0.3  # of the pool's pace: how often premium requests come


def crowd(flood: Flood) -> dict[str, Any]:
    """One account has thousands of jobs in line, when ten others come with one each."""
    flood.put("big", "free", FLOOD, WORDS)
    came = time.time()
    for number in range(10):
        flood.put(f"small{number}", "free", 1, WORDS)
    wait_for(lambda: sum(each.account != "big" for each in flood.begun()) == 10, 60, "the ten", every=0.2)
    after = [each for each in flood.begun() if each.at > came]
    last = max(place for place, each in enumerate(after) if each.account != "big")
    waits = [each.at - came for each in after if each.account != "big"]
    flood.clear()
    return {
        "jobs_in_line": FLOOD,
        "jobs_of_the_big_one_begun_before_the_tenth_small_one": last + 1 - 10,
        "median_wait_of_the_ten_s": round(statistics.median(waits), 3),
        "longest_wait_of_the_ten_s": round(max(waits), 3),
        "a_job_takes_s": SERVICE,
    }


def shares(flood: Flood) -> dict[str, Any]:
    """Ten accounts of equal weight, whose lines are all longer than they are served."""
    accounts = [f"acc{number}" for number in range(10)]
    for place, account in enumerate(accounts, 1):
        flood.put(account, "free", TURNS + 20 * place, WORDS)
    begun = _all_in_line(flood, TURNS * len(accounts))
    counted = Counter(each.account for each in begun)
    return {"served": sorted(counted.values()), "jain": round(jain([counted[name] for name in accounts]), 5)}


def jain(shares: list[int]) -> float:
    """Jain's index of fairness: 1 if all are equal, 1/n if one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def premium(running: Cluster, flood: Flood, count: int) -> dict[str, Any]:
    """Requests of a premium account, alone and then under a flood of free jobs."""
    alone = _ask(running, count)
    flood.put("flood", "free", FLOOD, WORDS)
    loaded = _ask(running, count)
    left = flood.waiting("free")
    flood.clear()
    service = statistics.median(total - queue for queue, total in alone)
    waits = sorted(queue for queue, _ in loaded)
    return {
        "requests": count,
        "service_alone_s": round(service, 3),
        "wait_alone_p99_s": round(_p99([queue for queue, _ in alone]), 3),
        "wait_p50_s": round(statistics.median(waits), 3),
        "wait_p99_s": round(_p99(waits), 3),
        "p99_by_service": round(_p99(waits) / service, 3),
        "free_jobs_still_in_line": left,
    }


def reserved(flood: Flood) -> dict[str, Any]:
    """Both tiers have more in line than can be served."""
    for tier in ("premium", "free"):
        for number in range(5):
            flood.put(f"{tier}{number}", tier, 400, WORDS)
    counted = Counter(each.tier for each in _all_in_line(flood, 1_000))
    share = counted["free"] / counted.total()
    return {"free_share": round(share, 4), "reserved": TIERS["free"].reserved, "served": dict(counted)}


def _all_in_line(flood: Flood, count: int) -> list[Begun]:
    """The next so many jobs to be begun, from now on, when all are in line; then nobody is any more."""
    now = time.time()

    def begun() -> list[Begun]:
        return [each for each in flood.begun() if each.at > now]

    wait_for(lambda: len(begun()) >= count + PLACES, 300, "jobs to be served", every=0.5)
    found = begun()[:count]
    flood.clear()
    return found


def _ask(running: Cluster, count: int) -> list[tuple[float, float]]:
    """Seconds in line and seconds in all of requests that come at random moments."""
    key, chance = running.key("premium"), random.Random(7)
    with ThreadPoolExecutor(200) as pool:
        asked = []
        for _ in range(count):
            time.sleep(chance.expovariate(RATE * PLACES / SERVICE))
            asked.append(pool.submit(_one, running.url, key))
        return [each.result(60) for each in asked]


def _one(url: str, key: str) -> tuple[float, float]:
    said = " ".join(["w"] * WORDS)
    body = {"model": "m", "messages": [{"role": "user", "content": f"echo {said}"}]}
    response = requests.post(f"{url}/v1/chat/completions", json=body, headers={"X-API-Key": key}, timeout=60)
    assert response.ok, response.text
    parts = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
    return float(parts["queue"]) / 1000, float(parts["total"]) / 1000


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="premium ones, alone and under the flood")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "sharing.json")
    args = parser.parse_args()
    models = {"m": simulated_model(tokens_per_second=PACE, capacity=PLACES)}
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), models, job_timeout=1200) as running:
        running.start_gateway()
        running.start_worker("m")
        flood = Flood(running)
        figures = {
            "crowd": crowd(flood),
            "shares": shares(flood),
            "premium": premium(running, flood, args.requests),
            "reserved": reserved(flood),
        }
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    save(args.out, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
