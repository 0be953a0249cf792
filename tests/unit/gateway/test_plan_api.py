"""GET /v1/admin/plan without a cluster: the process that plans, and what becomes of it."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import yaml

from gateway.api import plan
from gateway.planning.wish import Failed, Made, Wish
from shared.errors import AccountsUnreachable, InvalidRequest, NotFound, RequestError, Timeout
from shared.ledger import Ledger
from shared.settings import Settings
from tests.factories import make_usage


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'crofai.db'}")
    ledger.migrate()
    return ledger


def planned(folder: Path, **changes: Any) -> Made | Failed:
    """What the other process answers."""
    asked: dict[str, Any] = {
        "gpus": 4,
        "seconds": 86_400,
        "share": 0.95,
        "within": 10,
        "by_hour": False,
        "running": [],
    }
    files: dict[str, Any] = {"models_file": None, "tiers_file": None}
    wish = Wish(url=f"sqlite:///{folder / 'crofai.db'}", **files | asked | changes)
    done = subprocess.run(plan.COMMAND, input=msgspec.json.encode(wish), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return msgspec.json.decode(done.stdout, type=Made | Failed)


def test_it_plans_from_what_was_used_lately(tmp_path: Path, ledger: Ledger) -> None:
    now = time.time()
    ages = {"new": 60, "newer": 30, "old": 2 * 86_400}
    rows = [make_usage(name, model="llama3", created=now - age, ended=now - age + 9) for name, age in ages.items()]
    ledger.record([*rows, make_usage("gone", model="gone", created=now, ended=now)])
    made = planned(tmp_path, running=["tinyllama"])
    assert isinstance(made, Made)
    assert [(each["model"], each["requests"]) for each in made.plan["models"]] == [("llama3", 2), ("tinyllama", 0)]
    assert made.unplanned == ["gone"]


def test_without_usage_there_is_none(tmp_path: Path, ledger: Ledger) -> None:
    failed = planned(tmp_path)
    assert failed == Failed(why="used", message="there is no usage in that time to plan from")
    assert isinstance(plan.failure(failed), NotFound)


def test_too_few_gpus_are_a_mistake_of_the_request(tmp_path: Path, ledger: Ledger) -> None:
    ledger.record([make_usage("a", model="llama3", created=time.time(), ended=time.time())])
    tiers = tmp_path / "tiers.yaml"
    tiers.write_text(yaml.safe_dump({"tiers": {"free": {"models": ["llama3", "tinyllama"]}}}))
    failed = planned(tmp_path, gpus=1, tiers_file=str(tiers))
    assert isinstance(failed, Failed)
    error = plan.failure(failed)
    assert (type(error), error.param, "promise fewer" in str(error)) == (InvalidRequest, "gpus", True)


def test_a_database_that_is_away_is_told_to_the_operator_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "crofai.db").mkdir()
    failed = planned(tmp_path)
    assert isinstance(failed, Failed)
    error = plan.failure(failed)
    assert (type(error), str(tmp_path) in str(error)) == (AccountsUnreachable, False)
    assert str(tmp_path) in caplog.text


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LONGEST", 0.1)
    monkeypatch.setattr(plan, "COMMAND", [sys.executable, "-c", "import time; time.sleep(600)"])
    before = set(psutil.Process().children())  # other tests have some, too
    with pytest.raises(Timeout):
        plan.run(b"")
    assert set(psutil.Process().children()) <= before


def test_who_waits_for_others_plans_too_long_is_told_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PATIENCE", 0.01)
    nothing: Any = None  # is asked of the pools
    desk = plan.PlanDesk(Settings(data_dir=tmp_path), nothing)
    refused: list[Timeout] = []

    def make(gpus: float, *_: Any) -> dict[str, Any]:
        """While this one is made, another is asked for."""
        with pytest.raises(Timeout, match="Try again in a minute") as told:
            desk.plan({"gpus": "8"})
        refused.append(told.value)
        return {"gpus": gpus}

    monkeypatch.setattr(desk, "_make", make)
    made = desk.plan({"gpus": "4"})
    assert (made["gpus"], len(refused)) == (4, 1)
    assert desk.plan({"gpus": "4"}) == made
    desk.plan({"gpus": "9"})
    assert len(refused) == 2, "it is free again"


def test_a_plan_ends_itself_if_its_gateway_is_gone() -> None:
    script = "import gateway.planning.__main__ as m; m.LONGEST, m.GRACE = 0, 1; m.main()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    try:
        assert process.wait(30) == -signal.SIGALRM
    finally:
        process.kill()
        process.communicate()


def test_one_that_breaks_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plan, "COMMAND", [sys.executable, "-c", "raise SystemExit('the reason')"])
    with pytest.raises(RequestError, match="internal error"):
        plan.run(b"")
    assert "the reason" in caplog.text
