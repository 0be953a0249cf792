"""The queue on a real Valkey: priorities, depth, readable names, and what workers say of themselves."""

import base64
import json
from pathlib import Path

import pytest
import redis

from shared import queues
from shared import redis_keys as keys
from shared.messages import Job
from shared.queues import Envelope, make_celery
from shared.registry import Registry, Report
from shared.settings import Settings
from tests.cluster import Valkey, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import make_job
from tests.streams import streams

pytestmark = pytest.mark.integration


def waiting(client: "redis.Redis") -> int:
    """How many wait for model m."""
    return sum(client.zcard(keys.waiting("m", tier)) for tier in ("free", "premium"))


def test_a_message_is_as_celerys_own(valkey_server: Valkey, valkey: "redis.Redis") -> None:
    """But for what only a producer puts into it, and nobody reads."""
    app = make_celery(Settings(redis_url=valkey_server.url))
    job = make_job(model="llama3.1-8b")
    args = {"args": [job.encode()], "task_id": job.id, "argsrepr": "", "kwargsrepr": ""}
    app.send_task(queues.TASK, **args, queue=keys.queue(job.model), priority=6, ignore_result=True)
    theirs = json.loads(valkey.rpop("model.llama3.1-8b:p6"))
    ours = json.loads(Envelope(app).message(job, 6))
    for message in (theirs, ours):
        message["body"] = json.loads(base64.b64decode(message["body"]))
        del message["properties"]["delivery_info"]["exchange"]
        for name in ("delivery_tag", "reply_to", "argsrepr", "kwargsrepr"):
            message["properties"].pop(name, None)
    assert ours == theirs


def test_every_message_has_a_tag_of_its_own() -> None:
    envelope, job = Envelope(make_celery(Settings())), make_job()
    messages = [envelope.message(job, 3).encode(), envelope.message(job, 3).encode()]
    messages.append(queues.renewed(messages[0]))
    assert len({json.loads(message)["properties"]["delivery_tag"] for message in messages}) == 3


@pytest.mark.parametrize(
    ("priority", "name"),
    [(0, "model.m"), (2, "model.m"), (3, "model.m:p3"), (7, "model.m:p6"), (9, "model.m:p9")],
)
def test_each_priority_has_a_list(priority: int, name: str) -> None:
    assert queues.list_of("m", priority) == name
    assert name in queues.lists("m")


def test_premium_is_served_first(tmp_path: Path) -> None:
    """One slot: what waits is taken by tier, not by age."""
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=20, capacity=1)}) as running:
        running.start_gateway()
        worker = running.start_worker("m")
        client = running.valkey.client
        with streams(running, "m", "echo " + "x " * 100, 1, tier="free"):
            wait_for(lambda: client.hlen(keys.lease("m")) == 1, 10, "the slot to be taken")
            with streams(running, "m", "echo free", 1, tier="free") as free:
                wait_for(lambda: waiting(client) == 1, 10, "the free job to wait")
                with streams(running, "m", "echo premium", 1, tier="premium") as premium:
                    wait_for(lambda: waiting(client) == 2, 10, "both to wait")
        assert premium[0].times[0] < free[0].times[0], worker.tail()


def test_reports_come_and_go(valkey: "redis.Redis") -> None:
    registry = Registry(valkey)
    older = Report(id="a", model="m", engine="simulated", state="loading", started=1.0)
    newer = Report(id="b", model="n", engine="simulated", state="ready", started=2.0)
    for report in (newer, older):
        registry.report(report)
    assert registry.workers() == [older, newer]
    assert registry.workers("n") == [newer]
    registry.remove("b", "n")
    assert registry.workers() == [older]
    valkey.delete(keys.worker("a"))
    assert registry.workers() == []
    assert valkey.zcard(keys.WORKERS) == 0


@pytest.mark.parametrize(("interval", "lifetime"), [(0.1, 15), (20, 80)])
def test_a_report_outlives_three_that_fail_to_come(
    valkey: "redis.Redis", interval: float, lifetime: float
) -> None:
    Registry(valkey, interval).report(Report(id="a", model="m", engine="simulated", state="ready"))
    assert lifetime - 1 <= valkey.ttl(keys.worker("a")) <= lifetime


@pytest.mark.parametrize("foreign", [b"\xff", b"{}", b'{"id":"b","model":"m","engine":"e","state":"asleep"}'])
def test_a_report_that_cannot_be_read_is_left_out(
    valkey: "redis.Redis", caplog: pytest.LogCaptureFixture, foreign: bytes
) -> None:
    registry = Registry(valkey)
    report = Report(id="a", model="m", engine="simulated", state="ready")
    registry.report(report)
    valkey.set(keys.worker("b"), foreign)
    valkey.zadd(keys.WORKERS, {"b": 1})
    assert registry.workers() == registry.workers("m") == [report]
    assert caplog.text.count("worker b cannot be read") == 1


def test_a_message_that_is_no_job_is_dropped(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model()}) as running:
        worker = running.start_worker("m")
        app = make_celery(running.settings)
        app.send_task(queues.TASK, args=["{}"], queue=keys.queue("m"), ignore_result=True)
        wait_for(lambda: "is no job, dropped" in worker.log.read_text(), 10, "the message to be dropped")
        wait_for(lambda: running.valkey.client.hlen(keys.lease("m")) == 0, 10, "its lease to be given back")
        assert worker.alive


def test_jobs_survive_their_encoding() -> None:
    job = make_job(body={"messages": [{"role": "user", "content": "é\n\u2028"}], "n": 1})
    assert Job.decode(job.encode()) == job
