"""Where a job stands and for how long, from what the lines and the workers say of themselves."""

import time
from typing import Any

import gevent
import pytest
import redis

from gateway import line
from gateway.line import ASKED_AGAIN, FRESH, MOST_MISSED, Place, Places, about
from shared.joblog import Record
from shared.lines import Account, Snapshot, TierLine
from shared.registry import Report


class Lines:
    """The lines as the test says they are."""

    def __init__(self, *tiers: TierLine, cold: float = 0) -> None:
        self.tiers = list(tiers)
        self.cold = cold
        self.reads = 0
        self.away = False

    def snapshot(self, model: str) -> Snapshot:
        self.reads += 1
        if self.away:
            raise redis.ConnectionError
        return Snapshot(capacity=1, cold=self.cold, tiers=self.tiers if model == "m" else [])


class Roster:
    """Workers of model m, each of which is ready; whether another loads, and the seconds until it is."""

    def __init__(self, *ready: Report, loads: bool = False, loading: float | None = None) -> None:
        self._ready = list(ready)
        self._loads = loads
        self._loading = loading

    def ready(self, model: str) -> list[Report]:
        return self._ready

    def loads(self, model: str) -> bool:
        return self._loads

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


def places_of(lines: Lines, roster: Roster | None = None) -> Places:
    return Places(lines, roster or Roster(worker()), hold=60)  # type: ignore[arg-type]


def places(*tiers: TierLine, roster: Roster | None = None) -> Places:
    return places_of(Lines(*tiers), roster)


def job(job_id: str, model: str = "m", *, age: float = 0, left: float = 600) -> Record:
    """A job that has come `age` seconds ago, and has so many left."""
    now = time.time()
    return Record(job_id, model, "chat", "acc", "free", "queued", 0, now - age, now + left)


def order(found: Places, *ids: str) -> list[str]:
    """These jobs as they are told to stand; their positions are 1, 2, …"""
    positions = {}
    for job_id in ids:
        place = found.place(job(job_id))
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


def test_a_reserved_share_that_is_due_goes_before_all_priorities() -> None:
    free = tier("free", account("f", 0, 3), reserved=0.25, credit=0.5)
    found = places(free, tier("premium", account("p", 900, 8), priority=3))
    ids = [f"p{n}" for n in range(8)] + ["f0", "f1", "f2"]
    assert order(found, *ids) == ["p0", "p1", "f0", "p2", "p3", "p4", "f1", "p5", "p6", "p7", "f2"]


def test_no_more_than_two_jobs_are_due_at_once() -> None:
    free = tier("free", account("f", 0, 4), reserved=0.5, credit=9)
    found = places(free, tier("premium", account("p", 0, 3), priority=3))
    assert order(found, "f0", "f1", "f2", "f3", "p0", "p1", "p2") == ["f0", "f1", "p0", "f2", "p1", "f3", "p2"]


def test_others_have_their_turns_while_long_lines_are_counted() -> None:
    found = places(*(tier(name, account(name, 0, 20_000), reserved=0.3) for name in "ab"))
    turns = 0

    def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    beside = gevent.spawn(other)
    assert found.place(job("b19999")) == Place(40_000, None)
    beside.kill()
    assert turns > 1


def test_seconds_follow_from_the_pace_of_ones_own_tier() -> None:
    found = places(
        tier("premium", account("p", 0, 3), priority=3, pace=10.0), tier("free", account("f", 0, 3), pace=0.5)
    )
    assert found.place(job("p2")) == Place(3, 0.3)
    assert found.place(job("f1")) == Place(5, 4.0), "the second of its tier"


def test_without_a_pace_they_follow_from_what_the_workers_do() -> None:
    roster = Roster(worker(job_seconds=2.0), worker(capacity=8, job_seconds=8.0), worker())
    found = places(tier("free", account("f", 0, 9)), roster=roster)
    assert found.place(job("f5")) == Place(6, 2.0)
    assert places(tier("free", account("f", 0, 1))).place(job("f0")) == Place(1, None)


@pytest.mark.parametrize(("job_seconds", "told"), [(10.0, 4.0), (2.5, 2.0), (40.0, 8.0), (11.0, 4.0)])
def test_where_other_jobs_come_than_before_the_time_is_between_the_old_and_the_new(
    job_seconds: float, told: float
) -> None:
    """The second of its tier, at a job in two seconds; it is the fourth of all, and ten are worked on at once."""
    roster = Roster(worker(capacity=10, job_seconds=job_seconds))
    free = tier("free", account("f", 0, 2), pace=0.5)
    premium = tier("premium", account("p", 0, 2), priority=3, pace=2)
    assert places(premium, free, roster=roster).place(job("f1")) == Place(4, told)


def test_the_workers_pace_says_nothing_to_who_is_refused() -> None:
    """There may be jobs of other tiers before it, too."""
    roster = Roster(worker(capacity=100, job_seconds=1))
    found = places(tier("free", account("f", 0, 9), pace=0.5), roster=roster)
    assert (found.wait("m", "free", 3), found.wait_of("m", "free", "f")) == (6.0, 20.0)


@pytest.mark.parametrize(("loading", "pace", "seconds"), [(30.0, 0.5, 34.0), (30.0, 0.0, 30.0), (None, 0.5, None)])
def test_who_waits_for_a_worker_that_loads_is_told(
    loading: float | None, pace: float, seconds: float | None
) -> None:
    roster = Roster(loads=True, loading=loading)
    found = places(tier("free", account("f", 0, 2), pace=pace), roster=roster)
    assert found.place(job("f1", age=15)) == Place(2, seconds, loading=True, held=pytest.approx(60, abs=1))


@pytest.mark.parametrize(
    ("cold", "age", "left", "held"),
    [(50, 20, 600, 40), (20, 50, 600, 40), (80, 70, 600, 0), (0, 50, 600, 60), (50, 20, 7, 7)],
)
def test_who_waits_for_nobody_is_told_for_how_long(
    clock: list[float], cold: float, age: float, left: float, held: float
) -> None:
    """Since it came, or since there is no worker; and not beyond its deadline."""
    found = places_of(Lines(tier("free", account("f", 0, 2), pace=1), cold=cold), Roster())
    assert found.place(job("f1", age=age, left=left)) == Place(2, None, held=pytest.approx(held, abs=0.5))
    clock[0] += FRESH / 2  # what was read is older now
    if held == 60:
        assert found.place(job("f1", age=age)) == Place(2, None, held=pytest.approx(59.5, abs=0.2))


def test_who_is_in_no_line_has_no_place() -> None:
    found = places(tier("free", account("f", 0, 2)))
    assert found.place(job("other")) is None
    assert found.place(job("f0", "n")) is None


def test_lines_are_read_once_a_second(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 2)))
    found = places_of(lines)
    for _ in range(10):
        found.place(job("f0"))
        found.wait("m", "free")
    assert lines.reads == 1
    clock[0] += FRESH
    found.place(job("f0"))
    assert lines.reads == 2


def test_a_job_that_has_come_since_is_looked_for_again(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 1)))
    found = places_of(lines)
    assert found.place(job("f0")) == Place(1, None)
    lines.tiers = [tier("free", account("f", 0, 1), account("new", 1, 1))]
    clock[0] += ASKED_AGAIN / 2
    assert found.place(job("new0")) is None
    assert lines.reads == 1
    clock[0] += ASKED_AGAIN / 2 + 0.01
    assert found.place(job("new0")) == Place(2, None)
    for _ in range(10):
        found.place(job("gone"))
    assert lines.reads == 2, "at most five times a second"


def test_who_has_left_its_line_is_not_looked_for_again(clock: list[float]) -> None:
    """It is in the queue or at a worker, and comes back to no line."""
    lines = Lines(tier("free", account("f", 0, 3)))
    found = places_of(lines)
    assert found.place(job("f0")) == Place(1, None)
    lines.tiers = [tier("free", account("other", 0, 1))]
    for _ in range(20):
        clock[0] += FRESH
        assert [found.place(job(f"f{number}")) for number in range(3)] == [None] * 3
    assert lines.reads <= 1 + 2, "one for the first, and one since the others came"


def test_one_look_is_enough_for_all_that_are_missed(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 1)))
    found = places_of(lines)
    ids = [f"queued{number}" for number in range(100)]
    found.place(job("f0"))
    for _ in range(10):
        clock[0] += ASKED_AGAIN / 20
        assert {found.place(job(job_id)) for job_id in ids} == {None}
    clock[0] += ASKED_AGAIN
    for _ in range(10):
        clock[0] += 10 * FRESH
        assert {found.place(job(job_id)) for job_id in ids} == {None}
    assert lines.reads == 2


def test_a_look_that_failed_tells_nothing_of_who_is_missed(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 1)))
    found = places_of(lines)
    lines.away = True
    assert found.place(job("f0")) is None
    lines.away = False
    clock[0] += FRESH
    assert found.place(job("f0")) == Place(1, None)


def test_what_is_remembered_of_missed_jobs_has_a_bound(clock: list[float]) -> None:
    found = places_of(Lines())
    for number in range(MOST_MISSED + 10):
        found.place(job(f"gone{number}"))
    assert len(found._missed) <= MOST_MISSED


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, "less than a second"), (0.99, "less than a second"), (1.0, "about 1 s"), (12.4, "about 12 s")],
)
def test_nobody_is_told_of_no_time_at_all(seconds: float, told: str) -> None:
    assert about(seconds) == told


def test_the_next_one_waits_for_some_time() -> None:
    assert places(tier("free", account("f", 0, 1), pace=1000)).place(job("f0")) == Place(1, 0.1)


def test_without_redis_nothing_is_told(clock: list[float]) -> None:
    lines = Lines(tier("free", account("f", 0, 1), pace=1.0))
    found = places_of(lines)
    lines.away = True
    assert found.place(job("f0")) is None
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
