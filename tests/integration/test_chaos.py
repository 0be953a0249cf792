"""A short run of `make chaos`: every fault at least once, under a load of all kinds of clients."""

from pathlib import Path

import pytest

from tests.chaos.report import show
from tests.chaos.run import run
from tests.chaos.schedule import FAULTS, STRIKES, Schedule

pytestmark = pytest.mark.integration


@pytest.mark.timeout(240)
def test_what_is_admitted_is_answered_whatever_dies(tmp_path: Path) -> None:
    schedule = Schedule(seed=1, duration=25, faults=FAULTS, rate=30)
    found = run(schedule, tmp_path)
    assert not found["violations"], show(found)
    assert {strike["fault"] for strike in found["strikes"]} == set(STRIKES), "a fault was left out"
    assert found["ends"]["answered"] > 50
