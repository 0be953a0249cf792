"""What is told at /v1/status: each model now, how fast it was, and how often its canaries were answered."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from jsonschema import Draft202012Validator

from gateway.api import status
from gateway.openapi import document
from gateway.uptime import DAY, HOUR, LASTS, Tally, Uptime, history
from shared import redis_keys as keys
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.integration

NOW = 1_795_564_800.0
UNMEASURED = {"streams": 0, "average": None, "low": None, "high": None}
NOTHING: dict[str, list[Any]] = {"days": [], "hours": []}


# ---- history, in Redis


def test_history_is_counted_by_hour_and_by_day(valkey: "redis.Redis") -> None:
    uptime = Uptime(valkey)
    for success, at in ((True, NOW), (True, NOW + 10), (False, NOW + 20), (True, NOW + 3600)):
        uptime.note("m", success, at)
    uptime.note("other", False, NOW)
    mine, nobodys = uptime.read(["m", "nobody"])
    told = history(mine, NOW + 3600)
    assert told.hours == [Tally(int(NOW), 2, 1), Tally(int(NOW) + 3600, 1, 0)]
    assert told.days == [Tally(int(NOW), 3, 1)]
    assert nobodys == {}
    assert LASTS - 5 < valkey.ttl(keys.uptime("m")) <= LASTS


def test_history_is_bounded(valkey: "redis.Redis") -> None:
    uptime = Uptime(valkey)
    for at in (NOW + half * 43_200 for half in range(2 * 2 * DAY.most)):
        uptime.note("m", True, at)
        uptime.note("m", False, at + 1)
    (found,) = uptime.read(["m"])
    told = history(found, at)
    assert len(told.days) == DAY.most
    assert {(day.succeeded, day.failed) for day in told.days} == {(2, 2)}
    assert len(found) == 2 * len(told.days) + 2 * len(told.hours)
    uptime.note("m", True, at + HOUR.most * HOUR.seconds * 100)
    assert valkey.hlen(keys.uptime("m")) == 2


# ---- a cluster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Canaries are sent twice a second; `ill` answers none of them."""
    models = {
        "well": simulated_model(tokens_per_second=50, length=400, capacity=2),
        "ill": simulated_model(tokens_per_second=500, fail_after=1),
        "pictures": simulated_model("image", tokens_per_second=500),
        "cold": simulated_model(),
    }
    folder = tmp_path_factory.mktemp("status")
    with cluster(folder, models, canary_interval=0.5, report_interval=0.2) as running:
        running.start_gateway()
        for model in ("well", "ill", "pictures"):
            running.start_worker(model)
        yield running


def ask(running: Cluster, path: str = "/v1/status") -> requests.Response:
    return requests.get(f"{running.url}{path}", timeout=20)


def told(running: Cluster) -> dict[str, Any]:
    """What is told now, with the models by id; it fits what the API says of itself."""
    answer = ask(running)
    assert answer.status_code == 200
    described = document(600, ["free"])["components"]
    Draft202012Validator(described["schemas"]["Status"] | {"components": described}).validate(answer.json())
    return answer.json() | {"models": {model["id"]: model for model in answer.json()["models"]}}


def test_nothing_is_told_that_was_not_measured(running: Cluster) -> None:
    wait_for(lambda: told(running)["models"]["pictures"]["state"] == "ready", 10, "all to be seen")
    now = told(running)
    assert (now["object"], now["now"]) == ("status", pytest.approx(time.time(), abs=10))
    cold = now["models"]["cold"]
    assert cold == {
        "id": "cold",
        "kind": "chat",
        "state": "cold",
        "workers": 0,
        "running": 0,
        "waiting": 0,
        "tokens_per_second": None,
        "speed": UNMEASURED | {"window_seconds": 86_400},
        "ever": UNMEASURED | {"since": None},
        "uptime": NOTHING,
    }
    pictures = now["models"]["pictures"]
    assert (pictures["kind"], pictures["state"], pictures["workers"]) == ("image", "ready", 1)
    assert pictures["tokens_per_second"] is None, "they have no tokens"
    assert now["models"]["well"]["tokens_per_second"] is not None
    assert now["cluster"]["workers"] == 3


def test_what_streams_there_are_and_were(running: Cluster) -> None:
    before = told(running)["models"]["well"]["speed"]["streams"]
    with streams(running, "well", "hello", 3) as opened:
        wait_for(lambda: all(stream.job for stream in opened), 10, "all to be admitted")
        seen: list[dict[str, Any]] = []
        wait_for(lambda: seen.append(told(running)) or is_busy(seen[-1]), 7, "two to run and one to wait")
    now = seen[-1]
    for name in ("running", "waiting", "workers"):
        assert now["cluster"][name] == sum(model[name] for model in now["models"].values()), name

    def streamed() -> bool:
        return bool(told(running)["models"]["well"]["speed"]["streams"] == before + 3)

    wait_for(streamed, 30, "them to be written down")
    well = told(running)["models"]["well"]
    stats = ask(running, "/v1/models/well/stats").json()
    assert well["speed"] == stats["tokens_per_second"] | {"window_seconds": stats["window_seconds"]}
    assert well["ever"] == stats["ever"]
    assert well["speed"]["low"] <= well["speed"]["average"] <= well["speed"]["high"]
    assert well["speed"]["average"] == pytest.approx(50, rel=0.2)


def is_busy(now: dict[str, Any]) -> bool:
    well = now["models"]["well"]
    return well["running"] == 2 and well["waiting"] >= 1 and now["cluster"]["tokens_per_second"] > 50


def test_how_often_canaries_were_answered(running: Cluster) -> None:
    def sent(model: str) -> int:
        days = told(running)["models"][model]["uptime"]["days"]
        return sum(day["succeeded"] + day["failed"] for day in days)

    wait_for(lambda: min(map(sent, ("well", "ill", "pictures"))) >= 2, 40, "some canaries to be told", every=0.5)
    now = told(running)
    today = {time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago)) for ago in (0, 86_400)}
    for model, well in (("well", True), ("pictures", True), ("ill", False)):
        past = now["models"][model]["uptime"]
        assert {day["day"] for day in past["days"]} <= today
        assert all(hour["hour"].endswith(":00:00Z") for hour in past["hours"])
        for part in (*past["days"], *past["hours"]):
            assert part["failed" if well else "succeeded"] == 0
        ends = [[each["succeeded"] + each["failed"] for each in past[span]] for span in ("days", "hours")]
        assert sum(ends[0]) == sum(ends[1])
    assert now["models"]["cold"]["uptime"] == NOTHING
    assert not list(running.valkey.client.scan_iter("uptime:cold"))


def test_a_crowd_costs_what_one_costs(running: Cluster) -> None:
    time.sleep(status.FRESH)
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(running, "/v1/status?uptime=false"), range(80)))
    took = time.monotonic() - begun
    assert len({answer.json()["now"] for answer in answers}) <= took / status.FRESH + 1
    assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=1"}
    time.sleep(status.FRESH)
    assert ask(running).json()["now"] > answers[-1].json()["now"]


def test_the_history_may_be_left_out(running: Cluster) -> None:
    models = ask(running, "/v1/status?uptime=false").json()["models"]
    assert models
    assert not [model for model in models if "uptime" in model]
    assert all("uptime" in model for model in ask(running, "/v1/status?uptime=true").json()["models"])


@pytest.mark.parametrize(("query", "param"), [("uptime=no", "uptime"), ("uptimes=true", "uptimes")])
def test_what_is_not_known_is_refused(running: Cluster, query: str, param: str) -> None:
    answer = ask(running, f"/v1/status?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_pages_are_there(running: Cluster) -> None:
    page = ask(running, "/status")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; connect-src 'self'; ")
    assert "img-src" not in policy
    for name in ("status.js", "status.css"):
        assert ask(running, f"/web/{name}").status_code == 200
    page = ask(running, "/playground")
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == f"{policy}; img-src 'self' blob:"


def test_without_redis_it_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model()}) as alone:
        alone.start_gateway()
        assert ask(alone).status_code == 200
        alone.valkey.stop()
        wait_for(lambda: ask(alone).status_code == 503, 20, "its loss to be told")
        assert ask(alone).json()["error"]["code"] == "queue_unreachable"
        assert ask(alone, "/status").status_code == 200
        alone.valkey.start()
        wait_for(lambda: ask(alone).status_code == 200, 20, "it to be back")
