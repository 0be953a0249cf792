"""Who waits is told where it stands, and for about how long; who has been served, how long things took."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests
import socketio

from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration

LONG = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4000}


@pytest.fixture
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One worker with one place. It has done a job of half a second, and has another that does not end."""
    models = {"m": simulated_model(tokens_per_second=20, capacity=1, length=4000)}
    with cluster(tmp_path_factory.mktemp("line"), models, report_interval=0.2) as running:
        running.start_gateway()
        running.start_worker("m")
        assert post(running, LONG | {"max_tokens": 10}).ok
        wait_for(lambda: running.registry.workers()[0].job_seconds > 0, 10, "the worker to tell how long it took")
        with asked(running, "premium") as lines:
            next(lines)
            yield running


def post(running: Cluster, body: dict[str, Any], tier: str = "premium", **more: Any) -> requests.Response:
    headers = {"X-API-Key": running.key(tier), "X-Resume-Within": "60"}
    url = f"{running.url}/v1/chat/completions"
    return requests.post(url, json={"model": "m"} | body, headers=headers, timeout=30, **more)


@contextmanager
def asked(running: Cluster, tier: str) -> Iterator[Iterator[str]]:
    """Lines of a stream that is under way, or waits."""
    with post(running, LONG | {"stream": True}, tier, stream=True) as response:
        yield response.iter_lines(decode_unicode=True)


def told(lines: Iterator[str], position: int) -> float:
    """Wait until a stream is told that it has this position; the seconds that it is told, too."""
    pattern = re.compile(rf": waiting, position {position}, (?:about (\d+) s|less than a second)")
    return next(float(found[1] or 0) for line in lines if (found := pattern.fullmatch(line)))


def test_premium_goes_first_and_all_are_told(busy: Cluster) -> None:
    took = busy.registry.workers()[0].job_seconds
    with ExitStack() as stack:
        free = stack.enter_context(asked(busy, "free"))
        assert abs(told(free, 1) - took) <= 1
        second = stack.enter_context(asked(busy, "free"))
        told(second, 2)
        premium = stack.enter_context(asked(busy, "premium"))
        told(premium, 1)
        told(free, 2)
        assert abs(told(second, 3) - 3 * took) <= 1, "three jobs of half a second each, or a little more"


def test_a_socket_is_told(busy: Cluster) -> None:
    client = socketio.SimpleClient()
    client.connect(busy.url, transports=["websocket"])
    client.emit("prompt", {"model": "m", "context": LONG["messages"], "token": busy.key()})
    event, place = client.receive(timeout=10)
    assert (event, place["position"]) == ("waiting", 1)
    took = busy.registry.workers()[0].job_seconds
    assert took / 2 < place["seconds"] < 4 * took
    client.disconnect()


def test_a_job_that_waits_can_be_looked_at(busy: Cluster) -> None:
    headers = {"X-API-Key": busy.key("free")}
    url = f"{busy.url}/v1/chat/completions"
    with requests.post(
        url, json={"model": "m", "stream": True} | LONG, headers=headers, stream=True, timeout=30
    ) as it:
        job = requests.get(f"{busy.url}/v1/jobs/{it.headers['X-Job-Id']}", headers=headers, timeout=10).json()
    assert (job["state"], job["waiting"]["position"]) == ("queued", 1)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_tells_how_long_things_took(busy: Cluster, stream: bool) -> None:
    busy.start_worker("m")
    response = post(busy, LONG | {"max_tokens": 4, "stream": stream})
    timings = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    assert list(timings) == ["queue", "ttft", "total"]
    queue, ttft, total = (float(value) for value in timings.values())
    assert 0 <= queue <= ttft <= total < 10_000
