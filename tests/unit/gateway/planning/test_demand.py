"""From rows of usage to the replicas that each hour needs."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.planning.demand import Usage, UsageError, by_hour, monday, needed
from gateway.planning.pools import DAY, HOUR, WEEK, Arrivals, pool, promised_models, usual_startup
from shared.catalog import load_catalog
from shared.ledger import CANARIES
from tests.factories import make_usage
from tests.unit.gateway.planning.traffic import make_pool, steady


def arrivals(rows: Iterable[Mapping[str, Any]], origin: float) -> dict[str, Arrivals]:
    usage = Usage()
    usage.add(rows)
    return usage.arrivals(origin)


def test_requests_come_from_the_ledgers_rows() -> None:
    rows = [
        make_usage("2", created=1030.0, begun=1031.0, first=1032.0, ended=1041.0),
        make_usage("1", created=1000.0, begun=1005.0, first=1006.0, ended=1035.0),
        make_usage("3", created=1001.0, begun=1001.0, ended=1009.0, model="n"),
        make_usage("4", created=1060.0, ended=1100.0, state="cancelled"),
    ]
    found = arrivals(map(msgspec.structs.asdict, rows), 1000.0)
    # What never began counts as one of usual length: somebody asked for it.
    assert found == {"m": Arrivals([0.0, 30.0, 60.0], [30.0, 10.0, 20.0]), "n": Arrivals([1.0], [8.0])}


def test_rows_of_a_table_are_text() -> None:
    row = {"model": "m", "created": "5.5", "begun": "", "ended": "8"}
    assert arrivals([row], 5.0) == {"m": Arrivals([0.5], [1.0])}


def test_usage_can_be_kept_and_added_again() -> None:
    rows = [make_usage("1", created=1000.0, begun=1005.0, ended=1035.0), make_usage("2", created=1.0, ended=2.0)]
    usage, again = Usage(), Usage()
    usage.add(map(msgspec.structs.asdict, rows))
    again.add(usage.rows())
    assert (len(again), again.begin()) == (2, 1.0)
    assert again.arrivals(0) == usage.arrivals(0)


def test_canaries_are_nobodys_demand() -> None:
    rows = [
        make_usage("1", account=CANARIES, created=1.0, ended=5.0),
        make_usage("2", model="n", created=1.0, ended=5.0),
    ]
    assert list(arrivals(map(msgspec.structs.asdict, rows), 0)) == ["n"]


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"created": None}, "created: is missing; a row has model, and created, begun, ended in Unix seconds"),
        ({"model": ""}, "model: is missing"),
        ({"created": "soon"}, "created: should be in Unix seconds, or such as 2026-01-31T12:00:00Z, got 'soon'"),
        ({"ended": "inf"}, "ended: should be in Unix seconds"),
        ({"begun": float("inf")}, "begun: should be in Unix seconds"),
        ({"created": "nan"}, "created: should be in Unix seconds"),
        ({"created": -1}, "created: should be in Unix seconds"),
        ({"created": True}, "created: should be in Unix seconds"),
        ({"created": 1_790_000_000_000}, "created: should be in seconds; 1790000000000 looks like milliseconds"),
        ({"created": 500}, "ended: is before created"),
        ({"begun": 500}, "ended: is before begun"),
    ],
)
def test_a_row_that_says_nothing_of_times_is_named(changes: dict[str, object], told: str) -> None:
    good = {"model": "m", "created": 1, "begun": 1, "ended": 2}
    with pytest.raises(UsageError, match=re.escape(f"row 2: {told}")):
        arrivals([good, good | changes], 0.0)


def test_a_row_needs_all_columns() -> None:
    with pytest.raises(UsageError, match="row 1: begun: is missing"):
        arrivals([{"model": "m", "created": 1, "ended": 2}], 0.0)


def test_times_may_be_written_for_people() -> None:
    row = {"model": "m", "created": "2026-01-31T12:00:00Z", "begun": "2026-01-31 12:00:01", "ended": 1769860805}
    assert arrivals([row], 1769860000.0) == {"m": Arrivals([800.0], [4.0])}


def test_models_may_have_several_names() -> None:
    usage = Usage()
    usage.add({"model": model, "created": 1, "begun": 1, "ended": 2} for model in ("Llama3", "llama3", "other"))
    found = usage.arrivals(0, str.lower)
    assert {name: len(each.times) for name, each in found.items()} == {"llama3": 2, "other": 1}


def test_jobs_of_years_are_refused() -> None:
    usage = Usage()
    usage.add({"model": "m", "created": at, "begun": at, "ended": at + 1} for at in (0.0, 1_790_000_000.0))
    told = "the jobs are from 1970-01-01 to 2026-09-21: give those of 366 days at most"
    with pytest.raises(UsageError, match=told):
        usage.begin()


def test_weeks_begin_on_monday() -> None:
    thursday = datetime(2026, 1, 1, 13, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(monday(thursday), UTC) == datetime(2025, 12, 29, tzinfo=UTC)
    assert monday(monday(thursday)) == monday(thursday)


def test_a_request_needs_the_replicas_that_those_before_it_leave_no_place_in() -> None:
    burst = Arrivals([0.0] * 9, [60.0] * 9)
    assert needed(make_pool(slots=4), burst, wait=10) == [1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_place_that_gets_free_in_time_is_enough() -> None:
    burst = Arrivals([0.0, 1.0], [8.0, 8.0])
    assert needed(make_pool(slots=1), burst, wait=10) == [1, 1]
    assert needed(make_pool(slots=1), burst, wait=5) == [1, 2]


def test_an_hours_work_is_littles_law() -> None:
    hours = by_hour(make_pool(), steady(10, 25, WEEK), 0, WEEK)
    assert len(hours) == 168
    assert {round(hour.work, 6) for hour in hours} == {2.5}
    assert {hour.requests for hour in hours} == {360}


def test_working_days_are_alike_and_weekends_are_others() -> None:
    tuesday = steady(10, 100, HOUR, begin=DAY + 9 * HOUR)
    hours = by_hour(make_pool(slots=1), tuesday, 0, WEEK)
    assert [hour for hour in range(168) if hours[hour].needs] == [9, 33, 57, 81, 105]
    assert hours[9] == hours[33]
    # One working day of five had it.
    assert hours[9].work == pytest.approx(2.0)


def test_of_less_than_a_week_all_days_are_alike() -> None:
    hours = by_hour(make_pool(), steady(10, 25, DAY), 0, DAY)
    assert all(hour.work == pytest.approx(2.5) for hour in hours)


def test_pools_are_the_catalogues() -> None:
    models = load_catalog().models
    large = pool(models["llama3.1-405b"])
    assert (large.gpus, large.slots, large.startup) == (8, 64, 450)
    assert pool(models["stable_diffusion"]).slots == 2 * models["stable_diffusion"].image_args.batch
    assert pool(models["llama3"], startup=12.5).startup == 12.5
    assert (
        usual_startup(models["llama3.2-1b"])
        < usual_startup(models["llama3_70b"])
        < usual_startup(models["llama3.1-tulu-405b"])
    )
    assert usual_startup(models["llama3.1-tulu-405b"]) == 855
    assert usual_startup(models["deepseek-r1"]) == 685


def test_a_tier_promises_the_models_that_it_names() -> None:
    assert promised_models([None, ("a", "b"), ("b",)]) == {"a", "b"}
