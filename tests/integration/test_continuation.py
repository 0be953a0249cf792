"""Workers that die, are paused or leave: the answer goes on elsewhere, and is what it would have been."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from shared import redis_keys as keys
from shared.joblog import JobLog
from shared.queues import Envelope, make_celery
from shared.settings import Settings
from tests.cluster import Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import make_job
from tests.streams import Stream, streams

pytestmark = pytest.mark.integration

WORDS = " ".join(f"w{number}" for number in range(200))
LEASE = 2


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    models = {"m": simulated_model(tokens_per_second=50), "poison": simulated_model(exit_after=3)}
    # A machine that stands still for a lease costs an attempt, too.
    settings = {"lease": LEASE, "drain_timeout": 1, "max_attempts": 5} | getattr(request, "param", {})
    with cluster(tmp_path, models, **settings) as running:
        running.start_gateway()
        yield running


def kill(worker: Process) -> None:
    worker.kill()


def pause(worker: Process) -> None:
    """For three leases: it wakes up when its jobs have long gone on elsewhere."""
    worker.signal(signal.SIGSTOP)


def ask_to_leave(worker: Process) -> None:
    worker.signal(signal.SIGTERM)


@pytest.mark.parametrize("leave", [kill, pause, ask_to_leave])
def test_answers_go_on_on_another_worker(running: Cluster, leave: Callable[[Process], None]) -> None:
    first = running.start_worker("m")
    with streams(running, "m", f"echo {WORDS}", 10, stream_options={"include_usage": True}) as opened:
        wait_for(lambda: all(len(stream.texts) > 20 for stream in opened), 20, "all streams to be under way")
        running.start_worker("m")
        leave(first)
        wait_for(lambda: all(len(stream.texts) > 100 for stream in opened), 20, "all streams to go on")
        if leave is pause:
            first.signal(signal.SIGCONT)
    check(running, opened)
    if leave is ask_to_leave:
        assert first.stop() == 0, first.tail()


def check(running: Cluster, opened: list[Stream]) -> None:
    client = running.valkey.client
    check_text(opened)
    for stream in opened:
        assert stream.usage is not None
        assert stream.usage["completion_tokens"] == 200
    wait_for(lambda: client.hlen(keys.lease("m")) == 0, 10, "all messages to be given back")
    assert sum(client.llen(key) for key in client.keys("model.*")) == 0


def check_text(opened: list[Stream]) -> None:
    assert [stream.error for stream in opened] == [None] * len(opened)
    assert [stream.text for stream in opened] == [WORDS] * len(opened)


def test_one_that_was_paused_does_not_give_away_what_is_not_its_own(running: Cluster) -> None:
    """It wakes up while another runs its job; that one dies, and a third goes on."""
    first = running.start_worker("m")
    with streams(running, "m", f"echo {WORDS}", 1, stream_options={"include_usage": True}) as opened:
        wait_for(lambda: len(opened[0].texts) > 10, 20, "the stream to be under way")
        first.signal(signal.SIGSTOP)
        second = running.start_worker("m")
        wait_for(lambda: len(opened[0].texts) > 60, 20, "the second to go on")
        first.signal(signal.SIGCONT)
        wait_for(lambda: "fenced" in first.log.read_text(), 10, "the first to notice")
        running.start_worker("m")
        second.kill()
        first.kill()
    check(running, opened)


def test_what_waits_in_a_worker_stays_its_own(tmp_path: Path) -> None:
    """After a restart of Redis a worker takes more messages than it has slots: the last ones wait for long."""
    models = {"m": simulated_model(tokens_per_second=20, capacity=8)}
    with cluster(tmp_path, models, lease=LEASE) as running:
        running.start_gateway()
        first = running.start_worker("m")
        client = running.valkey.client
        with streams(running, "m", "echo " + "a " * 300, 1) as before:
            wait_for(lambda: len(before[0].texts) > 5, 10, "the first stream to be under way")
            running.valkey.stop()
            running.valkey.start()
            with streams(running, "m", "echo " + "b " * 100, 8) as after:
                wait_for(lambda: client.hlen(keys.lease("m")) == 9, 13, "more messages than slots to be taken")
                running.start_worker("m")
        assert [stream.error for stream in before + after] == [None] * 9
        assert "fenced" not in first.log.read_text()


@pytest.mark.parametrize("running", [{"max_attempts": 2}], indirect=True)
def test_a_job_that_kills_its_workers_is_given_up(running: Cluster) -> None:
    workers = [running.start_worker("poison") for _ in range(3)]
    with streams(running, "poison", "x", 1) as opened:
        pass
    assert opened[0].error is not None
    assert opened[0].error["code"] == "interrupted"
    assert sum(worker.alive for worker in workers) == 1, "two attempts, two workers"
    (letter,) = json.loads(crofai(running, "list", "--json"))
    job_id = letter["job"]["id"]
    assert letter["job"]["model"] == "poison"
    assert '"x"' in crofai(running, "show", job_id)
    again = crofai(running, "retry", job_id).strip()
    assert crofai(running, "list", "--json").strip() == "[]"
    client = running.valkey.client
    wait_for(lambda: client.hget(keys.job(again), "state") == b"running", 10, "it to run again")
    client.lpush(keys.DEAD, msgspec.json.encode(letter))
    crofai(running, "drop", job_id)
    assert client.llen(keys.DEAD) == 0


def crofai(running: Cluster, *words: str) -> str:
    command = [sys.executable, "-m", "gateway.cli", "jobs", *words]
    return subprocess.run(command, env=os.environ | running.env, check=True, text=True, capture_output=True).stdout


def test_a_job_whose_message_is_lost_is_answered_all_the_same(running: Cluster) -> None:
    """As when a worker is killed between taking a message and noting its lease."""
    worker = running.start_worker("m")
    client = running.valkey.client
    worker.signal(signal.SIGSTOP)
    with streams(running, "m", "echo a b c", 2) as opened:
        wait_for(lambda: client.llen("model.m:p3") >= 1, 10, "a message to wait in the queue")
        client.delete("model.m:p3")
        worker.signal(signal.SIGCONT)
    assert [stream.text for stream in opened] == ["a b c"] * 2


def test_so_is_one_whose_message_is_lost_on_its_way_to_a_second_worker(running: Cluster) -> None:
    worker = running.start_worker("m")
    client = running.valkey.client
    with streams(running, "m", f"echo {WORDS}", 1) as opened:
        wait_for(lambda: len(opened[0].texts) > 10, 20, "the stream to be under way")
        worker.kill()
        client.delete(keys.lease("m"), keys.lease_index("m"))
        running.start_worker("m")
    check_text(opened)


def test_an_end_that_redis_forgot_is_written_again(running: Cluster) -> None:
    """The worker was told that it is written, and has given its message back."""
    running.start_worker("m")
    client = running.valkey.client
    with streams(running, "m", "echo a b c", 1):
        pass
    (job,) = (name for name in client.keys("job:*") if not name.endswith(b":log"))
    job_id = job.decode().removeprefix("job:")
    wait_for(lambda: client.hlen(keys.lease("m")) == 0, 10, "the message to be given back")
    forget_the_end(client, job_id)
    wait_for(lambda: client.hget(job, "state") == b"succeeded", 20, "the job to end again")
    log = JobLog(client, log_ttl=60).read(job_id)
    assert [number for number, chunk in enumerate(log, 1) if chunk.end] == [len(log)]
    assert client.zcard(keys.open_jobs("m")) == 0


def forget_the_end(client: "redis.Redis", job_id: str) -> None:
    """As an append-only file without its last command."""
    record = {name.decode(): value.decode() for name, value in client.hgetall(keys.job(job_id)).items()}
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "echo a b c"}]}
    fields = {name: record[name] for name in ("model", "kind", "account", "tier", "reply_to")}
    created = float(record["created"]) - 60  # as old as need be
    job = make_job(job_id, body=body, created=created, deadline=float(record["deadline"]), **fields)
    message = Envelope(make_celery(Settings())).message(job, 3)
    client.rpop(keys.log(job_id))
    client.hset(keys.job(job_id), mapping={"state": "running", "message": message, "created": created})
    for name in (keys.open_jobs("m"), keys.dispatched("m", job.tier)):
        client.zadd(name, {job_id: time.time()})
