"""A short run of `make chaos`: every fault at least once, under a load of all kinds of clients."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.schedule import STRIKES
from tests.cluster import ROOT

pytestmark = pytest.mark.integration


@pytest.mark.timeout(600)
def test_what_is_admitted_is_answered_whatever_dies(tmp_path: Path) -> None:
    # A process of its own: Engine.IO's client leaves the sockets of lost connections to the garbage collector.
    out = tmp_path / "results.json"
    options = ["--seed", "1", "--duration", "25", "--rate", "32", "--json", str(out), "--keep", str(tmp_path)]
    command = [sys.executable, "-m", "tests.chaos", *options]
    run = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=580)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    found = json.loads(out.read_text())
    assert {strike["fault"] for strike in found["strikes"]} == set(STRIKES), "a fault was left out"
    assert found["ends"]["answered"] > 50
