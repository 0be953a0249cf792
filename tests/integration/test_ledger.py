"""The ledger has one row for each job that has ended, and its counts are what the client was told."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio
from msgspec.structs import asdict

from shared import redis_keys as keys
from shared.ledger import Ledger, UsageRow
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration

PRICE = {"prompt": 2, "completion": 3, "step": 50}
AWAY = 4.0  # seconds
COUNTS = ("prompt_tokens", "completion_tokens", "image_steps", "images")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    models = {
        "fast": simulated_model(tokens_per_second=500) | {"price": PRICE},
        "slow": simulated_model(tokens_per_second=20, capacity=1, length=4000) | {"price": PRICE},
        "broken": simulated_model(tokens_per_second=500, fail_after=7) | {"price": PRICE},
        "pictures": simulated_model(kind="image", tokens_per_second=100, steps=4) | {"price": PRICE},
    }
    with cluster(tmp_path, models) as running:
        running.start_gateway()
        yield running


class Client:
    """One key's requests."""

    def __init__(self, running: Cluster) -> None:
        self._running = running
        self.headers = {"X-API-Key": running.key()}

    def post(self, body: dict[str, Any], path: str = "/v1/chat/completions", **more: Any) -> requests.Response:
        url = f"{self._running.url}{path}"
        return requests.post(url, json=body, headers=self.headers, timeout=30, **more)

    def cancel(self, job: str) -> dict[str, Any]:
        url = f"{self._running.url}/v1/jobs/{job}"
        return dict(requests.delete(url, headers=self.headers, timeout=10).json())

    def told(self, job: str) -> dict[str, Any]:
        """What has become of a job, once it has ended."""

        def look() -> dict[str, Any]:
            url = f"{self._running.url}/v1/jobs/{job}"
            return dict(requests.get(url, headers=self.headers, timeout=10).json())

        wait_for(lambda: look()["state"] not in ("queued", "running"), 10, "the job to end")
        return look()


def chat(words: int = 20, model: str = "fast", **more: Any) -> dict[str, Any]:
    content = "echo " + " ".join(["w"] * words)
    return {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": words} | more


def written(running: Cluster, count: int, timeout: float = 10) -> dict[str, UsageRow]:
    """The rows by job, once there are so many and none is to come."""
    ledger = Ledger(running.settings.sql_url)
    client = running.valkey.client
    wait_for(lambda: client.xlen(keys.USAGE) == 0, timeout, "all usage to be moved")
    rows = ledger.rows(None, limit=10_000)
    ledger.close()
    assert client.llen(keys.USAGE_REJECTED) == 0
    assert len(rows) == count
    return {row.job: row for row in rows}


def counts(row: UsageRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in COUNTS}


def test_answers_of_all_kinds_are_written_down_as_they_were_told(running: Cluster) -> None:
    for model in ("fast", "slow", "broken", "pictures"):
        running.start_worker(model)
    client = Client(running)
    told = [_whole(client), _stream(client), _completions(client), _seed(client), _socket(running, client)]
    told += [_image(client), _failed(client), *_cancelled(client)]
    rows = written(running, len(told))
    for job, seen in told:
        row, known = rows[job], client.told(job)
        assert counts(row) == {name: known["usage"][name] for name in COUNTS}
        assert seen.items() <= asdict(row).items(), "what the client itself was told"
        units = PRICE["prompt"] * row.prompt_tokens + PRICE["completion"] * row.completion_tokens
        # 64 x 64 pixels: the price of a step is a 256th, rounded up.
        assert row.units == units + row.image_steps
        assert row.state == known["state"]
        moments = [row.created, row.begun or row.created, row.first or row.ended, row.ended]
        assert moments == sorted(moments)
        assert row.tier == "premium"


Told = tuple[str, dict[str, Any]]
"""A job's id, and what its client knows of its row."""


def _tokens(usage: dict[str, Any]) -> dict[str, int]:
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens")}


def _whole(client: Client) -> Told:
    response = client.post(chat(n=2))
    return response.headers["X-Job-Id"], {"kind": "chat", "state": "succeeded"} | _tokens(response.json()["usage"])


def _stream(client: Client) -> Told:
    with client.post(chat(stream=True, stream_options={"include_usage": True}), stream=True) as response:
        data = [line[6:] for line in response.iter_lines(decode_unicode=True) if line.startswith("data: {")]
    return response.headers["X-Job-Id"], {"state": "succeeded"} | _tokens(json.loads(data[-1])["usage"])


def _completions(client: Client) -> Told:
    response = client.post({"model": "fast", "prompt": ["echo a b", "echo c"], "n": 2}, "/v1/completions")
    return response.headers["X-Job-Id"], {"kind": "completion"} | _tokens(response.json()["usage"])


def _seed(client: Client) -> Told:
    body = {"messages": [{"role": "user", "content": "echo a b c"}]}
    response = client.post(body, "/v1/premium/fast")
    assert response.json() == {"response": "a b c"}
    return response.headers["X-Job-Id"], {"prompt_tokens": 4, "completion_tokens": 3}


def _socket(running: Cluster, client: Client) -> Told:
    socket = socketio.SimpleClient()
    socket.connect(running.url, transports=["websocket"])
    context = [{"role": "user", "content": "echo a b"}]
    socket.emit("prompt", {"model": "fast", "context": context, "token": client.headers["X-API-Key"]})
    event, usage = "", None
    while event != "usage":
        event, usage = socket.receive(timeout=10)
    socket.disconnect()
    return usage["id"], {name: usage[name] for name in COUNTS}


def _image(client: Client) -> Told:
    response = client.post({"model": "pictures", "prompt": "a fox", "n": 2}, "/v1/images/generations")
    assert len(response.json()["data"]) == 2
    return response.headers["X-Job-Id"], {"kind": "image", "images": 2, "image_steps": 8, "prompt_tokens": 0}


def _failed(client: Client) -> Told:
    with client.post(chat(model="broken", stream=True), stream=True) as response:
        words = sum('"content":"' in line for line in response.iter_lines(decode_unicode=True))
    assert words >= 7
    return response.headers["X-Job-Id"], {"state": "failed", "prompt_tokens": 21, "completion_tokens": 7}


def _cancelled(client: Client) -> list[Told]:
    """One while it runs, and one while it waits behind it."""
    with client.post(chat(400, "slow", stream=True), stream=True) as running:
        lines = running.iter_lines(decode_unicode=True)
        words = 0
        while words < 5:
            words += '"content":" w"' in next(lines)
        with client.post(chat(400, "slow", stream=True), stream=True) as waiting:
            waits = waiting.headers["X-Job-Id"]
            assert client.cancel(waits)["state"] == "cancelled"
    runs = running.headers["X-Job-Id"]
    assert client.told(runs)["usage"]["completion_tokens"] > words
    nothing: dict[str, Any] = dict.fromkeys((*COUNTS, "units"), 0)
    return [
        (runs, {"state": "cancelled", "prompt_tokens": 401}),
        (waits, {"state": "cancelled", "begun": None, "first": None} | nothing),
    ]


@contextmanager
def locked(running: Cluster) -> Iterator[None]:
    """Another program writes to the database, and does not come to an end."""
    file = running.folder / "crofai.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def gone(running: Cluster) -> Iterator[None]:
    """What is in the database's place cannot be opened."""
    files = [file for file in running.folder.glob("crofai.db*")]
    away = running.folder / "away"
    away.mkdir()
    for file in files:
        file.rename(away / file.name)
    (running.folder / "crofai.db").mkdir()
    yield
    (running.folder / "crofai.db").rmdir()
    for file in away.iterdir():
        file.rename(running.folder / file.name)


Outage = Callable[[Cluster], AbstractContextManager[None]]


@pytest.mark.parametrize("outage", [locked, gone])
def test_nothing_fails_and_nothing_is_lost_while_the_database_is_away(running: Cluster, outage: Outage) -> None:
    running.start_worker("fast")
    clients = [Client(running) for _ in range(4)]
    for client in clients:
        assert client.post(chat()).ok
    written(running, len(clients))
    jobs: list[str] = []

    def ask(client: Client, until: float) -> list[str]:
        found = []
        while time.monotonic() < until:
            response = client.post(chat())
            assert response.status_code == 200, response.text
            found.append(response.headers["X-Job-Id"])
            time.sleep(0.05)
        return found

    with outage(running), ThreadPoolExecutor(len(clients)) as pool:
        until = time.monotonic() + AWAY
        for done in [pool.submit(ask, client, until) for client in clients]:
            jobs += done.result()
        assert running.valkey.client.xlen(keys.USAGE) >= len(jobs), "it waits"
    # The next try comes within twice the time that it was away.
    rows = written(running, len(clients) + len(jobs), timeout=4 * AWAY)
    assert set(jobs) < rows.keys()
    assert {row.units for row in rows.values()} == {2 * 21 + 3 * 20}


def test_a_gateway_killed_before_it_reads_what_it_wrote_off_the_stream_writes_nothing_twice(
    running: Cluster,
) -> None:
    client, redis = Client(running), running.valkey.client
    running.start_worker("fast")
    redis.acl_setuser("default", enabled=True, commands=["-xdel"])  # as if it came no further
    jobs = [client.post(chat()).headers["X-Job-Id"] for _ in range(5)]
    ledger = Ledger(running.settings.sql_url)
    wait_for(lambda: len(ledger.rows(None)) == len(jobs), 10, "the rows")
    before = ledger.rows(None)
    assert redis.xlen(keys.USAGE) == len(jobs)
    running.processes[0].kill()
    redis.acl_setuser("default", enabled=True, commands=["+xdel"])
    running.start_gateway()
    more = client.post(chat()).headers["X-Job-Id"]
    rows = written(running, len(jobs) + 1, timeout=20)
    assert rows.keys() == {*jobs, more}
    assert [rows[row.job] for row in before] == before
    ledger.close()


def test_a_gateway_killed_as_it_writes_loses_nothing(running: Cluster) -> None:
    client = Client(running)
    running.start_worker("fast")
    assert client.post(chat()).ok
    written(running, 1)
    with locked(running):
        jobs = [client.post(chat()).headers["X-Job-Id"] for _ in range(5)]
        time.sleep(1.5)  # it has read the stream, and waits for the database
        running.processes[0].kill()
    running.start_gateway()
    assert set(jobs) < written(running, 6, timeout=20).keys()
