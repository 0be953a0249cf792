"""A pool that is scaled by its open jobs, as KEDA would: from nothing, up, and back, with nothing lost."""

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from shared import redis_keys as keys
from tests.cluster import Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model
from tests.metrics import scrape, value
from tests.streams import Stream

pytestmark = pytest.mark.integration

CAPACITY = 4  # jobs at once of a worker, and for how many of them there is to be one
MOST = 3  # workers
POLL = 0.25  # seconds between two looks
COOL_DOWN = 1.5  # seconds without a job until there is no worker
WAVES = ((20, 3.0), (6, 1.0))  # clients, and for how many seconds each asks


class Pool:
    """Workers of model m, as many as an autoscaler wants."""

    def __init__(self, running: Cluster) -> None:
        self._running = running
        self._workers: list[Process] = []
        self._leaving: list[Process] = []
        self._busy = 0.0
        self.sizes = [0]
        self.statuses: list[int] = []  # of those that had loaded their model

    def follow(self, over: threading.Event) -> None:
        """Look and act until it is over, and a little longer: until nobody is left."""
        while not over.wait(POLL) or self._workers or self._leaving:
            self._act(self._running.valkey.client.zcard(keys.open_jobs("m")))

    def _act(self, jobs: int) -> None:
        """KEDA's rule: one worker for so many jobs, none once there has been no job for a while."""
        now = time.monotonic()
        self._busy = now if jobs else self._busy
        wanted = min(MOST, math.ceil(jobs / CAPACITY))
        if wanted > len(self._workers):
            self._workers += [self._running.spawn_worker("m") for _ in range(wanted - len(self._workers))]
        if wanted < len(self._workers) and (jobs or now - self._busy > COOL_DOWN):
            for worker in self._workers[wanted:]:
                worker.signal(15)
            self._leaving += self._workers[wanted:]
            del self._workers[wanted:]
        served = [w for w in self._leaving if not w.alive and "is ready" in w.log.read_text()]
        self.statuses += [worker.wait(0) for worker in served]
        self._leaving = [worker for worker in self._leaving if worker.alive]
        if len(self._workers) != self.sizes[-1]:
            self.sizes.append(len(self._workers))


@contextmanager
def scaled(running: Cluster) -> Iterator[Pool]:
    """A pool that is scaled; leaving the context waits until it is empty."""
    pool, over = Pool(running), threading.Event()
    thread = threading.Thread(target=pool.follow, args=(over,))
    thread.start()
    try:
        yield pool
    finally:
        over.set()
        thread.join(60)
    assert not thread.is_alive()


def ask(running: Cluster, key: str, seconds: float) -> list[Stream]:
    """One client's streams, one after the other, of different lengths."""
    body = {"model": "m", "stream": True}
    found: list[Stream] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        words = " ".join(["w"] * (10 + 7 * (len(found) % 5)))
        stream = Stream()
        messages = [{"role": "user", "content": f"echo {words}"}]
        stream.read(f"{running.url}/v1/chat/completions", body | {"messages": messages}, key)
        assert stream.text == words, stream
        found.append(stream)
    return found


def test_workers_come_and_go_with_the_jobs_and_none_is_lost(tmp_path: Path) -> None:
    models = {"m": simulated_model(tokens_per_second=40, capacity=CAPACITY)}
    with cluster(tmp_path, models, hold_unserved=True, report_interval=0.5) as running:
        running.measured = True
        gateway = running.start_gateway()
        key = running.key()
        with scaled(running) as pool:
            for clients, seconds in WAVES:
                with ThreadPoolExecutor(clients) as asking:
                    answers = [asking.submit(ask, running, key, seconds) for _ in range(clients)]
                    assert sum(len(answer.result()) for answer in answers) >= clients
                wait_for(lambda: pool.sizes[-1] == 0, 20, "the pool to be empty again", gateway)
        assert pool.sizes[0] == pool.sizes[-1] == 0
        assert pool.sizes.count(0) == 1 + len(WAVES), "it was empty between the waves, too"
        assert max(pool.sizes) == MOST
        assert set(pool.statuses) == {0}, "each worker finished what it had"
        wait_for(lambda: running.valkey.client.xlen(keys.USAGE) == 0, 10, "all jobs to be counted")
        told = scrape(gateway.metrics)
        assert value(told, "crofai_jobs_total") == value(told, "crofai_jobs_total", state="succeeded")


def test_the_number_that_pools_are_scaled_by_is_the_gateways_own(tmp_path: Path) -> None:
    """In line, in the queue, at workers: what KEDA counts in Redis, and what Prometheus is told."""
    models = {"m": simulated_model(tokens_per_second=0.02, capacity=CAPACITY)}
    with cluster(tmp_path, models) as running:
        running.measured = True
        gateways = [running.start_gateway() for _ in range(2)]
        running.start_worker("m")
        client, headers = running.valkey.client, {"X-API-Key": running.key()}
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "echo a b"}]}

        def is_told(count: int) -> bool:
            told = [value(scrape(gateway.metrics), "crofai_open_jobs", model="m") for gateway in gateways]
            return [client.zcard(keys.open_jobs("m")), *told] == [count] * 3

        with ExitStack() as opened:
            for count in range(1, 3 * CAPACITY):
                url = f"{running.url}/v1/chat/completions"
                response = requests.post(url, json=body, headers=headers, stream=True, timeout=20)
                opened.callback(response.close)
                wait_for(lambda count=count: is_told(count), 10, f"{count} jobs to be told")
        wait_for(lambda: is_told(0), 10, "all clients to have left")
