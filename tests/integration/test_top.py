"""What goes on in each model's pool, as an operator sees it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    models = {"slow": simulated_model(tokens_per_second=20, capacity=2), "idle": simulated_model()}
    with cluster(tmp_path_factory.mktemp("top"), models, admin_key="sk-crof-" + "a" * 40) as running:
        running.start_gateway()
        running.start_worker("slow")
        yield running


def crofai(running: Cluster, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["top", *arguments, "--url", running.url], env=running.env)
    assert result.exit_code == 0, result.output
    return result.stdout


def look(running: Cluster) -> dict[str, Any]:
    """Each model's pool."""
    return {pool["model"]: pool for pool in json.loads(crofai(running, "--once", "--json"))}


def test_it_shows_what_goes_on(running: Cluster) -> None:
    with streams(running, "slow", "echo a b c d e f g h i j k l m n o p", 5) as opened:
        wait_for(lambda: sum(bool(stream.texts) for stream in opened) >= 2, 10, "two answers to begin")
        wait_for(lambda: "1 ready" in crofai(running, "--once"), 5, "a report")
        model, *cells = crofai(running, "--once").splitlines()[1].split("  ")
        assert (model, [cell.strip() for cell in cells if cell.strip()][:3]) == ("slow", ["1 ready", "2", "3"])
        slow, idle = (look(running)[name] for name in ("slow", "idle"))
        assert (slow["open"], slow["waiting"], slow["capacity"]) == (5, 3, 2)
        assert slow["workers"] == {"loading": 0, "ready": 1, "draining": 0}
        assert (idle["open"], idle["ttft_seconds"]) == (0, {"count": 0, "p50": None, "p99": None})
        assert "idle" not in crofai(running, "--once")
        assert "idle" in crofai(running, "--once", "--all")

    def firsts() -> dict[str, float]:
        told: dict[str, float] = look(running)["slow"]["ttft_seconds"]
        return told

    wait_for(lambda: firsts()["count"] == 5, 10, "their rows of usage")
    assert 0 < firsts()["p50"] <= firsts()["p99"] < 10


def test_it_is_for_admins(running: Cluster) -> None:
    response = requests.get(f"{running.url}/v1/admin/pools", headers={"X-API-Key": running.key()}, timeout=5)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "admin_required")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json"], "--json needs --once"),
        (["--interval", "0"], "--interval: should be 0.2 seconds or more, got 0"),
    ],
)
def test_what_it_does_not_take_is_told(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["top", *arguments])
    assert result.exit_code == 1
    assert words in result.stderr
