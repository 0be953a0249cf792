"""Redis stops, restarts or loses its data while ten streams are open; a worker dies; connections are cut.

The SQL database is locked.
"""

import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from gateway import auth, roster
from shared import redis_keys as keys
from tests.cluster import Cluster, Process, cluster, free_port, wait_for
from tests.conftest import simulated_model
from tests.streams import Stream, streams

pytestmark = pytest.mark.integration

WORDS = " ".join(f"w{number}" for number in range(300))
LEASE = 4
OUTAGE = 5.0  # seconds


class Bench:
    def __init__(self, running: Cluster) -> None:
        self.cluster = running
        self.gateway = running.start_gateway()
        self.worker = running.start_worker("m")

    def loads(self, worker: Process) -> int:
        """How often this worker process loaded its model."""
        return worker.log.read_text().count("is ready")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = {"lease": LEASE, "report_interval": 0.5, "max_attempts": 5}
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=50)}, **settings) as running:
        yield Bench(running)


def started(opened: list[Stream]) -> None:
    wait_for(lambda: all(len(stream.texts) > 20 for stream in opened), 20, "all streams to be under way")


def assert_whole(opened: list[Stream]) -> None:
    for stream in opened:
        assert (stream.status, stream.error, stream.done) == (200, None, True)
        assert stream.text == WORDS


def assert_as_before(bench: Bench) -> None:
    """The same processes serve on, and nothing is left behind."""
    assert bench.gateway.alive
    assert bench.worker.alive
    assert bench.loads(bench.worker) == 1
    wait_for(lambda: answers(bench.cluster), 20, "a new request to be answered")
    client = bench.cluster.valkey.client
    wait_for(lambda: client.hlen("lease:m") == 0 == client.zcard("lease:m:index"), 10, "leases to be given back")
    assert client.llen("model.m:p3") == 0


def answers(running: Cluster) -> bool:
    body = {"messages": [{"role": "user", "content": "echo after all"}]}
    response = requests.post(
        f"{running.url}/v1/free/m", json=body, headers={"X-API-Key": running.key()}, timeout=30
    )
    return response.status_code == 200 and response.json() == {"response": "after all"}


def test_killed_and_started_again(bench: Bench) -> None:
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        bench.cluster.valkey.stop()
        time.sleep(OUTAGE)
        bench.cluster.valkey.start()
    assert_whole(opened)
    assert_as_before(bench)


def test_paused(bench: Bench) -> None:
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        bench.cluster.valkey.process.signal(signal.SIGSTOP)
        time.sleep(OUTAGE)
        bench.cluster.valkey.process.signal(signal.SIGCONT)
    assert_whole(opened)
    assert_as_before(bench)


def test_who_leaves_while_it_is_down_is_not_forgotten(bench: Bench) -> None:
    valkey = bench.cluster.valkey
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"echo {WORDS * 10}"}]}
    headers = {"X-API-Key": bench.cluster.key()}
    url = f"{bench.cluster.url}/v1/chat/completions"
    with requests.post(url, json=body, headers=headers, stream=True, timeout=20) as response:
        next(line for line in response.iter_lines() if line.startswith(b"data: "))
        job = keys.job(response.headers["X-Job-Id"])
        valkey.stop()
    time.sleep(4)  # longer than the gateway needs to notice
    valkey.start()
    wait_for(lambda: valkey.client.hget(job, "state") == b"cancelled", 10, "the job to be cancelled")


def test_requests_wait_for_a_stalled_server_together(bench: Bench) -> None:
    url = f"{bench.cluster.url}/v1/models"
    assert requests.get(url, timeout=10).ok
    time.sleep(roster.FRESH + 0.1)
    bench.cluster.valkey.process.signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: requests.get(url, timeout=60).status_code, range(8)))
        took = time.monotonic() - start
    finally:
        bench.cluster.valkey.process.signal(signal.SIGCONT)
    assert answers == [503] * 8
    assert took < 10


def test_known_keys_do_not_wait_for_a_locked_database(bench: Bench) -> None:
    """Not even behind unknown ones, which must."""
    key = bench.cluster.key()
    assert ask(bench.cluster, key) == 200
    time.sleep(auth.FRESH + 0.1)
    with ThreadPoolExecutor(30) as pool, locked(bench.cluster):
        strangers = [pool.submit(ask, bench.cluster, f"sk-crof-{number}") for number in range(30)]
        wait_for(lambda: sum(stranger.running() for stranger in strangers) == 30, 10, "all to be asked")
        start = time.monotonic()
        assert ask(bench.cluster, key) == 200
        took = time.monotonic() - start
    assert took < auth.LONGEST - 2
    assert {stranger.result() for stranger in strangers} <= {401, 503}


@contextmanager
def locked(running: Cluster) -> Iterator[None]:
    """Nobody else reads or writes."""
    database = sqlite3.connect(running.folder / "crofai.db", isolation_level=None)
    database.execute("PRAGMA locking_mode=EXCLUSIVE")
    database.execute("BEGIN EXCLUSIVE")
    database.execute("UPDATE keys SET last_used = 1")
    try:
        yield
    finally:
        database.close()


def ask(running: Cluster, key: str) -> int:
    """The status of a request."""
    body = {"messages": [{"role": "user", "content": "echo a"}]}
    url = f"{running.url}/v1/free/m"
    return requests.post(url, json=body, headers={"X-API-Key": key}, timeout=90).status_code


def test_data_lost(bench: Bench) -> None:
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        bench.cluster.valkey.stop()
        for file in (bench.cluster.valkey.folder / "appendonlydir").iterdir():
            file.unlink()
        time.sleep(OUTAGE)
        bench.cluster.valkey.start()
    for stream in opened:
        assert stream.error is not None
        assert stream.error["code"] == "job_lost"
        assert stream.done
        assert WORDS.startswith(stream.text)
    assert_as_before(bench)


def test_refusing_writes(bench: Bench) -> None:
    """Full, or made a replica for a while: Redis answers, but with an error."""
    client = bench.cluster.valkey.client
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        client.config_set("maxmemory", 1)
        time.sleep(2)
        client.config_set("maxmemory", 0)
    assert_whole(opened)
    assert_as_before(bench)


def test_made_a_replica_for_a_while(bench: Bench) -> None:
    """As in a failover: consumers that wait are sent an error, and every write is refused."""
    client = bench.cluster.valkey.client
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        client.replicaof("127.0.0.1", str(free_port()))
        with streams(bench.cluster, "m", "echo a b c", 3) as refused:
            time.sleep(2)
            client.replicaof("NO", "ONE")
    assert_whole(opened)
    for stream in refused:
        assert stream.text == "a b c" or stream.error is not None
    assert_as_before(bench)


def test_a_worker_that_is_refused_keeps_no_connections(tmp_path: Path) -> None:
    """A disk may be full for hours, and each of its attempts opens two."""
    with cluster(tmp_path, {"m": simulated_model()}) as running:
        worker, client = running.start_worker("m"), running.valkey.client
        wait_for(lambda: client.info("clients")["blocked_clients"] == 1, 10, "the worker to wait for messages")
        before = client.info("clients")["connected_clients"]
        client.replicaof("127.0.0.1", str(free_port()))
        wait_for(lambda: worker.log.read_text().count("Cannot connect") >= 3, 20, "three attempts", worker)
        assert client.info("clients")["connected_clients"] <= before + 2


def test_full_while_a_job_is_delivered(bench: Bench) -> None:
    """The message has left its queue, and its lease cannot be noted."""
    client = bench.cluster.valkey.client
    wait_for(lambda: client.info("clients")["blocked_clients"] == 1, 10, "the worker to wait for messages")
    bench.worker.signal(signal.SIGSTOP)
    wait_for(lambda: client.info("clients")["blocked_clients"] == 0, 10, "its wait to end")
    with streams(bench.cluster, "m", f"echo {WORDS}", 1) as opened:
        wait_for(lambda: client.llen("model.m:p3") == 1, 10, "the job to be enqueued")
        client.config_set("maxmemory", 1)
        bench.worker.signal(signal.SIGCONT)
        wait_for(lambda: client.llen("model.m:p3") == 0, 10, "the delivery")
        assert client.hlen("lease:m") == 0
        client.config_set("maxmemory", 0)
        wait_for(lambda: client.hlen("lease:m") == 1 == client.zcard("lease:m:index"), 10, "the lease to be noted")
    assert_whole(opened)
    assert_as_before(bench)


def test_a_worker_that_cannot_consume_does_not_end_in_order(bench: Bench) -> None:
    client = bench.cluster.valkey.client
    wait_for(lambda: client.info("clients")["blocked_clients"] == 1, 10, "the worker to wait for messages")
    client.lpush("model.m", "no message")
    assert bench.worker.wait(20) == 1
    assert "Unrecoverable error" in bench.worker.log.read_text()


def test_connections_cut(bench: Bench) -> None:
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        for kind in ("normal", "pubsub"):
            bench.cluster.valkey.client.client_kill_filter(_type=kind)
    assert_whole(opened)
    assert_as_before(bench)


def test_a_killed_workers_waiting_jobs_are_answered(tmp_path: Path) -> None:
    """Messages that a worker had taken and not started, the one that was on its way to it, and those in the queue,
    go to the next one."""
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=100)}, lease=LEASE) as running:
        running.start_gateway()
        worker = running.start_worker("m")
        worker.signal(signal.SIGSTOP)
        with streams(running, "m", "echo a b c", 4) as opened:
            wait_for(lambda: running.valkey.client.zcard(keys.open_jobs("m")) == 4, 10, "four jobs to be admitted")
            worker.kill()
            running.start_worker("m")
        assert [stream.text for stream in opened] == ["a b c"] * 4


def test_a_worker_whose_engine_hangs_ends(tmp_path: Path) -> None:
    """Its lease would go on, and so would the wait of the jobs behind the one that hangs."""
    models = {"m": simulated_model(tokens_per_second=100, capacity=1, stall_after=5)}
    with cluster(tmp_path, models, lease=2, stall_timeout=4, max_attempts=1) as running:
        running.start_gateway()
        worker = running.start_worker("m")
        with streams(running, "m", "echo a b c d e f", 1) as hung:
            wait_for(lambda: hung[0].text == "a b c d e", 10, "the engine to hang")
            with streams(running, "m", "echo a b c", 1) as waiting:
                assert worker.wait(20) == 1
                assert "the engine hangs" in worker.log.read_text()
                running.start_worker("m")
        assert hung[0].error is not None
        assert hung[0].error["code"] == "interrupted"
        assert waiting[0].text == "a b c"


def test_a_worker_that_drains_finishes_what_it_has(bench: Bench) -> None:
    with streams(bench.cluster, "m", f"echo {WORDS}", 10) as opened:
        started(opened)
        assert bench.worker.stop(30) == 0
    assert_whole(opened)
