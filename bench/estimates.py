"""Is what clients are told of their time true?  `make bench-estimates`

Waves of requests of many accounts and of all lengths come to one simulated worker. Those that wait are told about
once a second where they stand, and for about how long: each such word is compared with the time at which the job
was begun. Then answers become longer from one wave to the next, and what is told from then on counts for itself.
At last lines of many lengths wait, and a request that would wait for longer than its tier does is told when to try
again: that is compared with the time at which it was admitted, as it tried all the time.
"""

import argparse
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import requests
import yaml

from bench.flood import Flood
from bench.machine import save
from tests.cluster import ROOT, Cluster, cluster
from tests.conftest import simulated_model

PLACES, PACE = 16, 40.0  # jobs at once; tokens a second of each
WORDS = (5, 60)  # of an answer, at least and at most
LONG = (60, 180)  # of the answers that come after a change
ACCOUNTS = 20
TOLD = re.compile(r": waiting, position (\d+), about (\d+) s")
SHORTEST = 2.0  # seconds: of less, nobody needs to be told, and whole seconds say nothing
LONGEST_WAIT = 10.0  # seconds: who would wait longer is refused
LINES = (400, 1200)  # jobs in line before one that is refused, at least and at most
TRY = 0.1  # seconds between its tries


class Word(NamedTuple):
    """What a client was told, and what happened, in seconds."""

    told: float
    happened: float

    @property
    def error(self) -> float:
        return abs(self.told - self.happened) / self.happened


class Waves:
    """Requests that come in waves, and what they were told."""

    def __init__(self, running: Cluster, seed: int) -> None:
        self._url = f"{running.url}/v1/chat/completions"
        create = running.accounts.create_key
        self._keys = [create(f"patient {number}", "patient").secret for number in range(ACCOUNTS)]
        self._hasty = create("hasty", "hasty")
        self._flood = Flood(running)
        self._chance = random.Random(seed)
        self._waits: list[Word] = []
        self.refusals: list[Word] = []
        self._lock = threading.Lock()

    def wait(self, waves: int, each: int, pause: float, words: tuple[int, int] = WORDS) -> list[Word]:
        """So many waves of so many requests, with pauses in seconds between them: what they were told."""
        self._waits = []
        with ThreadPoolExecutor(waves * each) as pool:
            asked = []
            for _ in range(waves):
                for _ in range(each):
                    key, length = self._chance.choice(self._keys), self._chance.randint(*words)
                    asked.append(pool.submit(self._wait, key, length))
                time.sleep(pause)
            for one in asked:
                one.result(300)
        return self._waits

    def be_refused(self, times: int) -> None:
        """So often, put jobs of this account and of another in line, and ask for one more."""
        for _ in range(times):
            for _ in range(self._chance.randint(*LINES)):
                account = self._chance.choice((self._hasty.account, "another"))
                self._flood.put(account, "hasty", 1, self._chance.randint(*WORDS))
            time.sleep(2)  # until some have been served, and the pace is known
            self._try(self._hasty.secret)
            self._flood.clear()

    def _wait(self, key: str, words: int) -> None:
        """Ask for a stream, and note what is said before it begins."""
        said: list[tuple[float, float]] = []
        with self._post(key, words, stream=True) as response:
            assert response.ok, response.text
            begun = 0.0
            for line in response.iter_lines(decode_unicode=True):
                if found := TOLD.fullmatch(line):
                    said.append((time.monotonic(), float(found[2])))
                elif line.startswith("data: "):
                    begun = begun or time.monotonic()
        with self._lock:
            self._waits += [Word(told, begun - at) for at, told in said if begun - at >= SHORTEST]

    def _try(self, key: str) -> None:
        """Ask until admitted, and note what the first refusal said."""
        told, asked = 0.0, time.monotonic()
        while True:
            with self._post(key, 5) as response:
                if response.status_code != 429:
                    break
                told = told or float(response.headers["Retry-After"])
            time.sleep(TRY)
        # The answer itself has taken its time, too: what counts is when it was admitted.
        admitted = time.monotonic() - response.elapsed.total_seconds()
        if told and admitted - asked >= SHORTEST:
            with self._lock:
                self.refusals.append(Word(told, admitted - asked))

    def _post(self, key: str, words: int, *, stream: bool = False) -> requests.Response:
        said = " ".join(["w"] * words)
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": f"echo {said}"}]}
        return requests.post(self._url, json=body, headers={"X-API-Key": key}, timeout=300, stream=stream)


def summary(words: list[Word]) -> dict[str, Any]:
    errors = sorted(word.error for word in words)
    return {
        "words": len(words),
        "median_error": round(statistics.median(errors), 3),
        "p90_error": round(errors[int(0.9 * (len(errors) - 1))], 3),
        "median_told_s": round(statistics.median(word.told for word in words), 1),
        "median_happened_s": round(statistics.median(word.happened for word in words), 1),
        "longest_happened_s": round(max(word.happened for word in words), 1),
    }


def tiers(folder: Path) -> Path:
    """Two tiers that are served alike; one waits for as long as it takes, the other is refused."""
    file = folder / "tiers.yaml"
    patient = {"description": "Waits.", "priority": 6, "most_waiting": 10_000}
    hasty = {"description": "Is refused.", "priority": 6, "most_waiting": 10_000, "longest_wait": LONGEST_WAIT}
    file.write_text(yaml.safe_dump({"tiers": {"patient": patient, "hasty": hasty}}))
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waves", type=int, default=8)
    parser.add_argument("--each", type=int, default=120, help="requests in a wave")
    parser.add_argument("--pause", type=float, default=5, help="seconds between two waves")
    parser.add_argument("--refusals", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "estimates.json")
    args = parser.parse_args()
    models = {"m": simulated_model(tokens_per_second=PACE, capacity=PLACES)}
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Path(folder), models, tiers_file=tiers(Path(folder)), queue_bound=10_000) as running,
    ):
        running.start_gateway()
        running.start_worker("m")
        waves = Waves(running, args.seed)
        waits = waves.wait(args.waves, args.each, args.pause)
        changed = waves.wait(1, args.each, 0, LONG)
        waves.be_refused(args.refusals)
    told = {"waiting": waits, "waiting_after_a_change": changed, "retry_after": waves.refusals}
    figures = {name: summary(words) for name, words in told.items() if words}
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    save(args.out, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
