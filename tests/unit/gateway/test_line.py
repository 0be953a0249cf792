"""Where a job stands and for how long, from what the lines and the workers say of themselves."""

from typing import Any

import pytest
import redis

from gateway import line
from gateway.line import ASKED_AGAIN, FRESH, Place, Places
from shared.lines import Account, Snapshot, TierLine
from shared.registry import Report


class Lines:
    """The lines as the test says they are."""

    def __init__(self, *tiers: TierLine) -> None:
        self.tiers = list(tiers)
        self.reads = 0
        self.away = False

    def snapshot(self, model: str) -> Snapshot:
        self.reads += 1
        if self.away:
            raise redis.ConnectionError
        return Snapshot(capacity=1, tiers=self.tiers if model == "m" else [])


class Roster:
    """Workers of model m, each of which is ready, and the seconds until one is."""

    def __init__(self, *ready: Report, loading: float | None = None) -> None:
        self._ready = list(ready)
        self._loading = loading

    def ready(self, model: str) -> list[Report]:
        return self._ready

    def loading(self, model: str) -> float | None:
        return self._loading


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(line.time, "monotonic", lambda: now[0])
    return now


def worker(**changes: Any) -> Report:
    fields: dict[str, Any] = {"id": "w", "model": "m", "engine": "simulated", "state": "ready", "capacity": 4}
    return Report(**fields | changes)


def tier(name: str = "free", *accounts: Account, **changes: Any) -> TierLine:
    fields: dict[str, Any] = {"priority": 6, "weight": 1, "reserved": 0, "dispatched": 0, "pace": 0}
    return TierLine(name=name, accounts=list(accounts), **fields | changes)


def account(name: str, start: float, count: int) -> Account:
    return Account(name, start, [f"{name}{number}" for number in range(count)])


def places(*tiers: TierLine, roster: Roster | None = None) -> Places:
    return Places(Lines(*tiers), roster or Roster(worker()))  # type: ignore[arg-type]


def order(found: Places, *ids: str) -> list[str]:
    """These jobs as they are told to stand; their positions are 1, 2, …"""
    positions = {}
    for job_id in ids:
        place = found.place("m", job_id)
        assert place is not None, job_id
        positions[place.position] = job_id
    assert sorted(positions) == list(range(1, len(ids) + 1))
    return [positions[number] for number in sorted(positions)]


def test_accounts_take_turns_from_where_they_are() -> None:
    found = places(tier("free", account("a", 3, 3), account("b", 4, 2), account("c", 3, 1)))
    assert order(found, "a0", "a1", "a2", "b0", "b1", "c0") == ["a0", "c0", "a1", "b0", "a2", "b1"]


def test_weights_are_shares_among_tiers_of_one_priority() -> None:
    heavy, light = tier("heavy", account("h", 0, 6), weight=3), tier("light", account("l", 0, 2))
    ids = [f"h{n}" for n in range(6)] + ["l0", "l1"]
    assert order(places(heavy, light), *ids) == ["h0", "l0", "h1", "h2", "h3", "l1", "h4", "h5"]
    assert order(places(light, heavy), *ids) == ["l0", "h0", "h1", "h2", "l1", "h3", "h4", "h5"]


def test_the_lower_priority_goes_first_whatever_its_time() -> None:
    found = places(tier("free", account("f", 0, 2)), tier("premium", account("p", 900, 2), priority=3))
    assert order(found, "f0", "f1", "p0", "p1") == ["p0", "p1", "f0", "f1"]


def test_seconds_follow_from_the_pace_of_ones_own_tier() -> None:
    found = places(
        tier("premium", account("p", 0, 3), priority=3, pace=10.0), tier("free", account("f", 0, 3), pace=0.5)
    )
    assert found.place("m", "p2") == Place(3, 0.3)
    assert found.place("m", "f1") == Place(5, 4.0), "the second of its tier"


def test_without_a_pace_they_follow_from_what_the_workers_do() -> None:
    roster = Roster(worker(job_seconds=2.0), worker(capacity=8, job_seconds=8.0), worker())
    found = places(tier("free", account("f", 0, 9)), roster=roster)
    assert found.place("m", "f5") == Place(6, 2.0)
    assert places(tier("free", account("f", 0, 1))).place("m", "f0") == Place(1, None)


@pytest.mark.parametrize(
    ("loading", "pace", "place"),
    [(30.0, 0.5, Place(2, 34.0, True)), (30.0, 0.0, Place(2, 30.0, True)), (None, 0.5, Place(2, None, True))],
)
def test_who_waits_for_a_worker_that_loads_is_told(loading: float | None, pace: float, place: Place) -> None:
    found = places(tier("free", account("f", 0, 2), pace=pace), roster=Roster(loading=loading))
    assert found.place("m", "f1") == place


def test_who_is_in_no_line_has_no_place() -> None:
    found = places(tier("free", account("f", 0, 2)))
    assert found.place("m", "other") is None
    assert found.place("n", "f0") is None


def test_lines_are_read_once_a_second(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 2)))
    found = Places(lines, Roster(worker()))  # type: ignore[arg-type]
    for _ in range(10):
        found.place("m", "f0")
        found.wait("m", "free")
    assert lines.reads == 1
    clock[0] += FRESH
    found.place("m", "f0")
    assert lines.reads == 2


def test_a_job_that_has_come_since_is_looked_for_again(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 1)))
    found = Places(lines, Roster(worker()))  # type: ignore[arg-type]
    assert found.place("m", "new0") is None
    lines.tiers = [tier("free", account("f", 0, 1), account("new", 1, 1))]
    assert found.place("m", "new0") is None
    assert lines.reads == 1
    clock[0] += ASKED_AGAIN + 0.01
    assert found.place("m", "new0") == Place(2, None)
    for _ in range(10):
        found.place("m", "gone")
    assert lines.reads == 2, "at most five times a second"


def test_without_redis_nothing_is_told(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 1), pace=1.0))
    found = Places(lines, Roster(worker()))  # type: ignore[arg-type]
    lines.away = True
    assert found.place("m", "f0") is None
    clock[0] += FRESH
    assert (found.wait("m", "free"), found.wait_of("m", "free", "f")) == (None, None)


def test_one_more_waits_for_those_that_are_served_before_it() -> None:
    busy = tier("free", account("a", 5, 9), account("b", 5, 1), account("c", 7, 2), pace=2.0)
    found = places(busy, tier("premium", priority=3))
    # Who has none in line comes after the first round; who has nine, after all of them and all the others'.
    assert found.wait_of("m", "free", "new") == 1.5
    assert found.wait_of("m", "free", "b") == 2.0, "a's first two and its own"
    assert found.wait_of("m", "free", "a") == 6.5
    assert found.wait_of("m", "premium", "new") is None, "nobody waits"
    assert found.wait_of("m", "gold", "new") is None
    assert found.wait("m", "free", 3) == 1.5
