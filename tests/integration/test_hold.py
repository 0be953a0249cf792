"""Requests for models that have no ready worker: they wait for one, so long and no longer."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio

from shared import redis_keys as keys
from shared.ledger import Ledger
from shared.registry import Report
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import Stream

pytestmark = pytest.mark.integration

HOLD = 3.0  # seconds
NOBODY = re.compile(r": no worker, position 1, held for (?:about (\d+) s|less than a second)")
LEFT = ": waiting"  # it has left its line, and what came of that is on its way
BODY = {"messages": [{"role": "user", "content": "echo a b c"}]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Models and nobody who serves them."""
    models: dict[str, Any] = {f"m{number}": simulated_model(tokens_per_second=500) for number in (2, 3, 4)}
    with cluster(tmp_path_factory.mktemp("hold"), models, hold=HOLD, hold_unserved=True) as running:
        running.start_gateway()
        yield running


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The same, where requests are held for longer than any worker takes to start."""
    models: dict[str, Any] = {f"m{number}": simulated_model(tokens_per_second=500) for number in (0, 1)}
    with cluster(tmp_path_factory.mktemp("patient"), models, hold=60, hold_unserved=True) as running:
        running.start_gateway()
        yield running


def post(running: Cluster, model: str, path: str = "/v1/chat/completions", **more: Any) -> requests.Response:
    headers = {"X-API-Key": running.key()} | more.pop("headers", {})
    stream = more.get("stream", False)
    body = ({} if "premium" in path else {"model": model}) | BODY | more
    return requests.post(f"{running.url}{path}", json=body, headers=headers, stream=stream, timeout=30)


def told(running: Cluster, model: str) -> Iterator[str]:
    """Lines of a stream that are not empty, as they come."""
    with post(running, model, stream=True) as response:
        assert response.status_code == 200
        yield from (line for line in response.iter_lines(chunk_size=1, decode_unicode=True) if line)


def state(running: Cluster, model: str) -> str:
    return str(requests.get(f"{running.url}/v1/models/{model}", timeout=20).json()["state"])


def waiting(running: Cluster, model: str) -> int:
    return int(running.valkey.client.zcard(keys.waiting(model, "premium")))


def test_who_waits_for_a_worker_is_told_and_answered_once_there_is_one(patient: Cluster) -> None:
    lines = told(patient, "m0")
    assert NOBODY.fullmatch(next(lines)), "the first that it is told"
    worker = patient.spawn_worker("m0")
    said = list(lines)
    assert said[-1] == "data: [DONE]"
    for line in said:
        assert line.startswith(("data:", ": loading, position 1")) or line == LEFT or NOBODY.fullmatch(line)
    assert "".join(re.findall(r'"content":"([^"]*)"', "".join(said))) == "a b c"
    worker.stop()


def test_others_behind_it_are_answered_too(patient: Cluster) -> None:
    url, body = f"{patient.url}/v1/chat/completions", {"model": "m1", "stream": True} | BODY
    streams = [Stream() for _ in range(5)]
    threads = [threading.Thread(target=each.read, args=(url, body, patient.key())) for each in streams]
    for thread in threads:
        thread.start()
    wait_for(lambda: waiting(patient, "m1") == 5, 10, "all to be in line")
    entries = requests.get(f"{patient.url}/v1/models/m1", timeout=20).json()
    assert (entries["state"], entries["waiting"]) == ("cold", 5)
    patient.start_worker("m1")
    for thread in threads:
        thread.join(20)
    assert [stream.text for stream in streams] == ["a b c"] * 5


def test_without_a_worker_a_stream_ends_with_an_error(running: Cluster) -> None:
    start = time.monotonic()
    *comments, error, done = told(running, "m2")
    assert HOLD <= time.monotonic() - start < HOLD + 4
    if comments[-1] == LEFT:
        del comments[-1]
    waits = [NOBODY.fullmatch(line) for line in comments]
    assert waits and all(waits), comments
    held = [int(wait[1] or 0) for wait in waits if wait]
    assert held == sorted(held, reverse=True) and held[0] <= HOLD
    assert '"code":"model_unavailable"' in error
    assert done == "data: [DONE]"
    assert waiting(running, "m2") == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/premium/m2"])
def test_without_a_worker_a_whole_answer_is_refused(running: Cluster, path: str) -> None:
    response = post(running, "m2", path)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unavailable")
    assert response.headers["Retry-After"] == "10"
    assert HOLD <= response.elapsed.total_seconds() < HOLD + 4


def test_without_a_worker_a_socket_is_told(running: Cluster) -> None:
    client = socketio.SimpleClient()
    client.connect(running.url, transports=["websocket"])
    client.emit("prompt", {"model": "m2", "context": BODY["messages"], "token": running.key()})
    events = [client.receive(timeout=10)]
    while events[-1][0] != "chunk":
        events.append(client.receive(timeout=10))
    client.disconnect()
    *waits, (name, error), closing = events
    assert waits
    for event, place in waits:
        assert 0 <= place.pop("held") <= HOLD
        assert (event, place) == ("waiting", {"position": 1, "seconds": None, "loading": False})
    assert (name, error["code"], error["status"], error["retry_after"]) == ("error", "model_unavailable", 503, 10)
    assert closing == ["chunk", "||AI ERROR||"]


def load(running: Cluster, worker: str, model: str, *, progress: float, seconds: float) -> None:
    """Have a worker say that it has loaded so much of its model in so many seconds."""
    now = time.time()
    report = Report(
        id=worker,
        model=model,
        engine="vllm",
        state="loading",
        progress=progress,
        started=now - seconds,
        reported=now,
    )
    running.registry.report(report)
    wait_for(lambda: state(running, model) == "loading", 10, "the gateway to know of the worker")


def test_who_waits_in_a_cold_pool_is_told_for_how_long_in_all_ways(running: Cluster) -> None:
    """A worker has loaded half of the model in a second, and needs another."""
    load(running, "half", "m4", progress=0.5, seconds=1)
    headers = {"X-API-Key": running.key()}
    with post(running, "m4", stream=True) as response:
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(lines) == ": loading, position 1, about 1 s"
        job = f"{running.url}/v1/jobs/{response.headers['X-Job-Id']}"
        place = requests.get(job, headers=headers, timeout=10).json()["waiting"]
        assert 0 < place.pop("held") <= HOLD
        assert place == {"position": 1, "seconds": 1.0, "loading": True}
    wait_for(lambda: waiting(running, "m4") == 0, 10, "it to leave")
    with socketio.SimpleClient() as client:
        client.connect(running.url, transports=["websocket"])
        client.emit("prompt", {"model": "m4", "context": BODY["messages"], "token": running.key()})
        event, place = client.receive(timeout=10)
    running.registry.remove("half", "m4")
    assert 0 < place.pop("held") <= HOLD
    assert (event, place) == ("waiting", {"position": 1, "seconds": 1.0, "loading": True})


def test_who_waited_in_vain_may_send_the_same_again(running: Cluster) -> None:
    """Its Idempotency-Key stands for no answer: nothing was done."""
    once = {"headers": {"X-API-Key": running.key(), "Idempotency-Key": "once"}}
    assert post(running, "m3", **once).status_code == 503
    running.start_worker("m3")
    again = post(running, "m3", **once)
    assert again.json()["choices"][0]["message"]["content"] == "a b c"
    assert post(running, "m3", **once).headers["X-Job-Id"] == again.headers["X-Job-Id"]


def test_what_waited_in_vain_costs_nothing(running: Cluster) -> None:
    assert post(running, "m2").status_code == 503
    client = running.valkey.client
    wait_for(lambda: client.xlen(keys.USAGE) == 0, 10, "the ledger to be written")
    ledger = Ledger(running.settings.sql_url)
    row = next(row for row in ledger.rows(None) if row.model == "m2")
    ledger.close()
    assert (row.state, row.units, row.begun) == ("failed", 0, None)
    assert not list(client.scan_iter("running:*"))


def test_a_model_that_nobody_knows_is_refused_at_once(running: Cluster) -> None:
    for path, status in (("/v1/chat/completions", 404), ("/v1/premium/m9", 404)):
        response = post(running, "m9", path)
        assert (response.status_code, response.json()["error"]["code"]) == (status, "model_not_found")
        assert response.elapsed.total_seconds() < HOLD


def test_a_model_that_loads_for_longer_is_refused_at_once(running: Cluster) -> None:
    load(running, "slow", "m2", progress=0.25, seconds=30)
    response = post(running, "m2", stream=True)
    running.registry.remove("slow", "m2")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unavailable")
    assert response.headers["Retry-After"] == "90"
    assert "about 90 s" in response.json()["error"]["message"]


def test_where_nothing_starts_workers_nobody_waits(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model()}, hold=HOLD, hold_unserved=False) as running:
        running.start_gateway()
        for more in ({}, {"stream": True}):
            response = post(running, "m", **more)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
            assert response.elapsed.total_seconds() < HOLD
        running.spawn_worker("m")
        wait_for(lambda: running.registry.workers(), 20, "a worker that loads")
        assert post(running, "m").ok, "it will be there"
