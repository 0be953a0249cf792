"""A plan's reasons, and its values for the Helm chart."""

import math
from dataclasses import replace

import pytest
import yaml

from gateway.planning import report
from gateway.planning.planner import Plan, plan
from gateway.planning.pools import DAY, HOUR, WEEK, Arrivals, Goal
from tests.chart import FEWEST, Chart, of_kind
from tests.unit.gateway.planning.traffic import make_pool, noisy, steady


@pytest.fixture(scope="module")
def made() -> Plan:
    pools = {
        "busy": make_pool("busy", slots=7),
        "idle": make_pool("idle"),
        "rare": make_pool("rare", promised=False, startup=90.0),
        "large": make_pool("large", promised=False, gpus=8),
    }
    arrivals = {"busy": noisy(1, 0.4, 20), "idle": Arrivals([], []), "rare": steady(9000, 10, DAY)}
    return plan(pools, arrivals | {"large": steady(9000, 10, DAY)}, Goal(), 8, 0, DAY, by_hours=False)


def test_values_are_what_the_chart_takes(made: Plan) -> None:
    values = yaml.safe_load(report.values(made))
    # Who asks for the rare one waits for its start, of 90 s.
    assert values["settings"] == {"hold": 135}
    assert values["keda"] == {"enabled": True, "cooldownPeriod": 60}
    assert values["scaleDown"] == {"stabilization": 300, "pods": 1, "every": 60}
    assert values["models"]["large"] == {"replicas": 0, "autoscaling": None}
    assert values["models"]["idle"]["autoscaling"]["min"] == 1
    assert values["models"]["rare"]["autoscaling"]["min"] == 0
    for each in made.models[:1]:
        scaling = values["models"][each.pool.model]["autoscaling"]
        assert scaling["schedule"] is None
        # The chart's own sum.
        assert math.floor(each.pool.slots * scaling["factor"]) == each.scaling.target


def test_they_go_over_those_that_were_there(made: Plan) -> None:
    """Whatever a model had before: a number, or an autoscaler with its hours."""
    names = {"busy": "llama3", "idle": "smollm2-135m", "rare": "mistral-7b-instruct", "large": "llama3.3-70b"}
    planned = [replace(each, pool=replace(each.pool, model=names[each.pool.model])) for each in made.models]
    hours = {"min": 1, "max": 9, "schedule": [{"days": [1], "from": 9, "to": 17, "min": 8}]}
    before = {
        "llama3": {"replicas": 2, "resources": {"requests": {"cpu": "4"}}},
        "smollm2-135m": {"autoscaling": hours},
        "llama3.3-70b": {"autoscaling": hours},
    }
    over = yaml.safe_load(report.values(replace(made, models=planned)))
    models = {name: before.get(name, {}) | given for name, given in over["models"].items()}
    objects = Chart().objects(FEWEST | over | {"models": models})
    scaled = {
        each["metadata"]["name"].removeprefix("demo-crofai-"): each for each in of_kind(objects, "ScaledObject")
    }
    assert scaled.keys() == {"llama3", "smollm2-135m", "mistral-7b-instruct"}
    assert all(len(each["spec"]["triggers"]) == 1 for each in scaled.values())
    [large] = [each for each in of_kind(objects, "Deployment") if "llama3-3-70b" in each["metadata"]["name"]]
    assert large["spec"]["replicas"] == 0


def test_a_plan_by_which_nothing_fits_can_be_installed(made: Plan) -> None:
    large = [replace(e, pool=replace(e.pool, model="llama3")) for e in made.models if e.pool.model == "large"]
    values = yaml.safe_load(report.values(replace(made, models=large)))
    assert of_kind(Chart().objects(FEWEST | values), "ScaledObject") == []


def test_reasons_are_said(made: Plan) -> None:
    said = {each.pool.model: report.why(each) for each in made.models}
    assert said["idle"] == "promised, so one stays; no request came"
    assert said["large"].startswith("does not fit: one replica takes 8 GPUs")
    assert "not promised, so none stays, and a start takes 90 s" in said["rare"]
    assert "has work for" in said["busy"]


def test_a_start_that_takes_longer_than_jobs_may_is_made_room_for(made: Plan) -> None:
    slow = [replace(each, pool=replace(each.pool, startup=855.0)) for each in made.models]
    assert yaml.safe_load(report.values(replace(made, models=slow)))["settings"] == {
        "hold": 900,
        "job_timeout": 1500,
    }
    busy = [each for each in made.models if each.pool.promised]
    assert "settings" not in yaml.safe_load(report.values(replace(made, models=busy)))


def test_a_schedule_says_days_and_hours() -> None:
    working = [1] * 9 + [3] * 8 + [2] * 7
    floors = (*working * 5, *[1] * 24, *([1] * 23 + [4]))
    assert list(report.schedule(floors, 1)) == [
        {"days": [1, 2, 3, 4, 5], "from": 9, "to": 17, "min": 3},
        {"days": [1, 2, 3, 4, 5], "from": 17, "to": 24, "min": 2},
        {"days": [0], "from": 23, "to": 24, "min": 4},
    ]


def test_a_schedule_is_in_the_values(made: Plan) -> None:
    first = replace(made.models[0], pool=make_pool("llama3"))
    floors = tuple(2 if hour % 24 == 9 else 1 for hour in range(168))
    by_hour = replace(first, scaling=replace(first.scaling, least=1, floors=floors))
    values = report.values(replace(made, models=[by_hour]))
    taken = Chart().objects(FEWEST | yaml.safe_load(values))
    [scaled] = of_kind(taken, "ScaledObject")
    assert [each["type"] for each in scaled["spec"]["triggers"]] == ["redis", "cron"]
    found = yaml.safe_load(values)["models"]["llama3"]["autoscaling"]["schedule"]
    assert found == [{"days": [1, 2, 3, 4, 5, 6, 0], "from": 9, "to": 10, "min": 2}]
    assert "*" not in values
    assert "1 to 2 stay, by the hour" in report.why(by_hour)


def test_the_busiest_hour_is_named() -> None:
    wednesday = noisy(1, 0.4, 20, HOUR)
    times = [2 * DAY + 14 * HOUR + time for time in wednesday.times]
    made = plan({"m": make_pool()}, {"m": Arrivals(times, wednesday.services)}, Goal(), 8, 0, WEEK)
    assert report.why(made.models[0]).startswith("14:00 of a working day has work for 0.4 replicas")
    assert report.most_held(made) >= 1
