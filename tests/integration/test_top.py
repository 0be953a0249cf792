"""What goes on in each model's pool, as an operator sees it."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.live import Live
from typer.testing import CliRunner

from gateway.cli import top
from gateway.cli.main import app
from tests import terminal
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.integration

LEFT = "\x1b[?1049l"
"""What a terminal is told by who leaves its screen as it was."""


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
    return {pool["model"]: pool for pool in json.loads(crofai(running, "--json"))["data"]}


def test_it_shows_what_goes_on(running: Cluster) -> None:
    with streams(running, "slow", "echo" + " word" * 80, 5) as opened:
        wait_for(lambda: sum(bool(stream.texts) for stream in opened) >= 2, 10, "two answers to begin")
        wait_for(lambda: "1 ready" in crofai(running, "--once"), 10, "a report")
        model, *cells = crofai(running, "--once").splitlines()[1].split("  ")
        assert (model, [cell.strip() for cell in cells if cell.strip()][:3]) == ("slow", ["1 ready", "2", "3"])
        seen = look(running)
        slow, idle = seen["slow"], seen["idle"]
        assert (slow["open"], slow["waiting"], slow["capacity"]) == (5, 3, 2)
        assert slow["workers"] == {"loading": 0, "ready": 1, "draining": 0}
        assert (idle["open"], idle["ttft_seconds"]) == (0, {"count": 0, "p50": None, "p99": None})
        assert "idle" not in crofai(running, "--once")
        assert "idle" in crofai(running, "--once", "--all")

    def firsts() -> dict[str, float]:
        told: dict[str, float] = look(running)["slow"]["ttft_seconds"]
        return told

    wait_for(lambda: firsts()["count"] == 5, 30, "their rows of usage")
    assert 0 < firsts()["p50"] <= firsts()["p99"] < 20


def test_it_is_for_admins(running: Cluster) -> None:
    response = requests.get(f"{running.url}/v1/admin/pools", headers={"X-API-Key": running.key()}, timeout=5)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "admin_required")


def test_whose_key_is_no_admins_is_told_what_to_do(running: Cluster) -> None:
    env = running.env | {"CROFAI_ADMIN_KEY": running.key()}
    result = CliRunner().invoke(app, ["top", "--url", running.url], env=env)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "admin_required" in result.stderr
    assert "CROFAI_ADMIN_KEY" in result.stderr


def test_elsewhere_than_on_a_terminal_it_looks_once_or_as_often_as_it_is_told(running: Cluster) -> None:
    usual, once = (crofai(running, "--all", *options).splitlines() for options in ([], ["--once"]))
    assert [line.split()[0] for line in usual] == [line.split()[0] for line in once]
    looks = [
        json.loads(line) for line in crofai(running, "--json", "--watch", "3", "--interval", "0.2").splitlines()
    ]
    assert [look["object"] for look in looks] == ["top"] * 3
    assert all({"slow", "idle"} <= {pool["model"] for pool in look["data"]} for look in looks)
    assert looks[0]["time"] < looks[1]["time"] < looks[2]["time"]
    assert crofai(running, "--watch", "2", "--interval", "0.2").count("TTFT p50") == 2


def test_a_gateway_that_is_away_is_told(running: Cluster) -> None:
    result = CliRunner().invoke(app, ["top", "--url", "http://127.0.0.1:9"], env=running.env)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "crofai: no server answers at http://127.0.0.1:9. Start one with: crofai up\n"


def test_on_a_terminal_it_goes_on_until_q(running: Cluster) -> None:
    env = {"PATH": os.environ["PATH"], "CROFAI_URL": running.url, **running.env}
    with terminal.crofai("top", "--all", "--interval", "0.2", env=env) as screen:
        place = screen.until("idle")
        place = screen.until("q ends", after=place)
        screen.until("q ends", after=place)
        screen.type("q")
        assert screen.end() == 0
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l"), "the cursor is there again"


def test_a_narrow_terminal_has_fewer_columns_and_whole_lines(running: Cluster) -> None:
    env = {"PATH": os.environ["PATH"], "CROFAI_URL": running.url, **running.env}
    with terminal.crofai("top", env=env, columns=40) as screen:
        screen.until("q ends")
        screen.type("q")
        assert screen.end() == 0
    lines = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", screen.text).splitlines()
    assert lines[0].split() == ["model", "workers", "waiting", "tokens/s"]
    assert any(re.fullmatch(r"[\d.]+ tokens/s, \d+ waiting; q ends *", line) for line in lines)
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_leaves_the_terminal_as_it_was(running: Cluster, number: int) -> None:
    env = {"PATH": os.environ["PATH"], "CROFAI_URL": running.url, **running.env}
    with terminal.crofai("top", "--all", env=env) as screen:
        screen.until("q ends")
        assert not screen.takes_lines
        screen.signal(number)
        assert screen.end() == 128 + number
        assert screen.takes_lines
    for on, off in (("\x1b[?25l", "\x1b[?25h"), ("\x1b[?1049h", LEFT)):
        assert screen.text.rindex(off) > screen.text.rindex(on)
    assert screen.text.endswith("crofai: told to end\r\n")


def test_a_terminal_tells_that_the_gateway_went_away(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model()}, admin_key="sk-crof-" + "a" * 40) as running:
        gateway = running.start_gateway()
        env = {"PATH": os.environ["PATH"], "CROFAI_URL": running.url, **running.env}
        with terminal.crofai("top", "--interval", "0.2", env=env) as screen:
            screen.until("q ends")
            gateway.kill()
            place = screen.until("no server answers")
            # Pressed again if need be: Python drops one that comes while it frees an object.
            screen.insist(terminal.CTRL_C, LEFT, after=place)
            assert screen.end() == 0


def test_ctrl_c_ends_it_while_it_is_drawn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Live):
        def update(self, *args: Any, **options: Any) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(top, "Live", Interrupted)
    top._follow(lambda: [], 0.2, False)


def test_an_interval_that_is_too_short_is_told() -> None:
    result = CliRunner().invoke(app, ["top", "--interval", "0"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--interval: should be 0.2 seconds or more, got 0" in result.stderr
