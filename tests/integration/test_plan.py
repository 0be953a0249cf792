"""`crofai plan` against a gateway and its ledger, as an operator runs it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from shared.ledger import CANARIES, Ledger
from tests.cluster import ROOT, cluster
from tests.conftest import simulated_model
from tests.factories import make_usage

pytestmark = pytest.mark.integration

MINUTE = 60.0


def test_replicas_are_planned_from_what_the_ledger_has(tmp_path: Path) -> None:
    models = {name: simulated_model(capacity=2) for name in ("busy", "rare", "idle", "unused", "off")}
    tiers = tmp_path / "tiers.yaml"
    tiers.write_text(yaml.safe_dump({"tiers": {"premium": {"models": ["busy", "idle"]}}}))
    with cluster(tmp_path, models, tiers_file=tiers) as running:
        running.start_gateway()
        running.start_worker("unused")
        now = time.time()
        rows = [
            make_usage(f"{model}-{number}", model=model, created=at, begun=at + 1, first=at + 2, ended=at + 31)
            for model, count in (("busy", 1500), ("rare", 3))
            for number in range(count)
            for at in (now - MINUTE - number * 10,)
        ]
        rows.append(make_usage("canary", account=CANARIES, model="unused", created=now - 9, begun=now, ended=now))
        Ledger(running.settings.sql_url).record(rows)
        values = tmp_path / "values.yaml"
        said = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "plan", "--gpus", "6", "--json", "--values", str(values)],
            env=os.environ | running.env | {"CROFAI_URL": running.url},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert said.returncode == 0, said.stderr
    found = {each["model"]: each for each in json.loads(said.stdout)["models"]}
    assert {model: each["requests"] for model, each in found.items()} == {
        "busy": 1500,
        "rare": 3,
        "idle": 0,
        "unused": 0,
    }
    # Three are in service at a time, two fit a replica, and the third has a place in 20 s only.
    assert (found["busy"]["promised"], found["busy"]["peak"]) == (True, 2)
    assert (found["rare"]["promised"], found["rare"]["min"]) == (False, 0)
    assert (found["idle"]["promised"], found["idle"]["min"]) == (True, 1)
    # It has a worker that nobody but a canary has asked.
    assert (found["unused"]["promised"], found["unused"]["min"]) == (False, 0)
    assert sum(each["min"] * each["gpus"] for each in found.values()) <= 6
    assert set(yaml.safe_load(values.read_text())["models"]) == {"busy", "rare", "idle", "unused"}
