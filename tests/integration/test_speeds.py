"""How fast streams were is told by what came out of them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from gateway.speeds import HOUR, WINDOW, Speeds
from shared import redis_keys as keys
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import make_usage

pytestmark = pytest.mark.integration

NOW = 1_795_564_800.0


def row(job: str, speed: float, ended: float = NOW, **changes: Any) -> Any:
    """A stream of 101 tokens at that speed."""
    times = {"created": ended - 100 / speed - 1, "begun": ended - 100 / speed, "first": ended - 100 / speed}
    return make_usage(job, **{"completion_tokens": 101, "ended": ended} | times | changes)


def test_average_low_and_high(valkey: "redis.Redis") -> None:
    speeds = Speeds(valkey)
    assert speeds.read("m", NOW) == (None, None)
    speeds.note([row("a", 10), row("b", 40)])
    speeds.note([row("c", 25, NOW + HOUR), row("other", 1000, model="n")])
    day, ever = speeds.read("m", NOW + HOUR)
    assert day is not None
    assert day == ever
    assert (day.streams, day.since) == (3, NOW)
    assert (day.average, day.low, day.high) == pytest.approx((25, 10, 40))


def test_the_day_rolls_and_what_was_ever_stays(valkey: "redis.Redis") -> None:
    speeds = Speeds(valkey)
    for hour in range(3 * WINDOW):
        speeds.note([row(f"job_{hour}", 10 + hour, NOW + hour * HOUR)])
    day, ever = speeds.read("m", NOW + (3 * WINDOW - 1) * HOUR)
    assert day is not None
    assert ever is not None
    assert (day.streams, ever.streams) == (WINDOW, 3 * WINDOW)
    assert (day.low, ever.low) == pytest.approx((10 + 2 * WINDOW, 10))
    assert valkey.hlen(keys.speeds("m")) == WINDOW + 1
    assert speeds.read("m", NOW + 5 * WINDOW * HOUR) == (None, ever)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "failed"},
        {"first": None},
        {"completion_tokens": 15},
        {"first": NOW},
        {"kind": "image", "first": None},
    ],
    ids=str,
)
def test_what_tells_no_speed(valkey: "redis.Redis", changes: dict[str, Any]) -> None:
    speeds = Speeds(valkey)
    speeds.note([row("a", 10, **changes)])
    assert speeds.read("m", NOW) == (None, None)
    assert not valkey.exists(keys.speeds("m"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=100, length=400)}) as running:
        running.start_gateway()
        running.start_worker("m")
        yield running


def test_the_api_tells_what_a_client_sees(running: Cluster) -> None:
    url = f"{running.url}/v1/models/m/stats"
    nothing = {"streams": 0, "average": None, "low": None, "high": None}
    told = requests.get(url, timeout=10).json()
    assert told == {
        "id": "m",
        "object": "model.stats",
        "window_seconds": 86_400,
        "tokens_per_second": nothing,
        "ever": nothing | {"since": None},
    }
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"X-API-Key": running.key()}
    chat = f"{running.url}/v1/chat/completions"
    with requests.post(chat, json=body, headers=headers, stream=True, timeout=20) as answer:
        times = [time.monotonic() for line in answer.iter_lines() if b'"content":' in line]
    seen = (len(times) - 2) / (times[-1] - times[1])
    wait_for(lambda: requests.get(url, timeout=10).json()["ever"]["streams"], 10, "the stream to be counted")
    speed = requests.get(url, timeout=10).json()["tokens_per_second"]
    assert speed["streams"] == 1
    assert speed["average"] == speed["low"] == speed["high"] == pytest.approx(seen, rel=0.1)


def test_an_unknown_model_has_none(running: Cluster) -> None:
    answer = requests.get(f"{running.url}/v1/models/nix/stats", timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
