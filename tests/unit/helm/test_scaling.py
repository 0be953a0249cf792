"""How pools of workers grow and shrink."""

import random
from typing import Any

import pytest

from gateway.planning.report import schedule
from shared import redis_keys
from shared.catalog import load_catalog
from tests.chart import EXAMPLES, FEWEST, MANY_MODELS, Chart, Object, example, of_kind, one


def scaled(chart: Chart, model: str, kind: str, scaler: str = "keda", **fields: Any) -> Object:
    values = {"models": {model: {"autoscaling": {"min": 1, "max": 3} | fields}}, scaler: {"enabled": True}}
    [found] = [
        each
        for each in of_kind(chart.objects(FEWEST | values), kind)
        if not each["metadata"]["name"].endswith("gateway")
    ]
    return found["spec"]


@pytest.mark.parametrize("model", ["llama3.3-70b", "smollm2-135m", "tinyllama"])
def test_keda_reads_the_models_open_jobs(chart: Chart, model: str) -> None:
    [trigger] = scaled(chart, model, "ScaledObject", min=0)["triggers"]
    assert trigger["type"] == "redis"
    assert trigger["metadata"]["listName"] == redis_keys.open_jobs(model)
    assert trigger["metadata"]["listLength"] == str(load_catalog().find(model).engine_args["max_num_seqs"])
    assert trigger["metadata"]["activationListLength"] == "0"


@pytest.mark.parametrize("factor, length", [(1, "32"), (0.5, "16"), (2, "64"), (0.001, "1")])
def test_a_worker_may_be_meant_to_have_more_or_fewer_jobs(chart: Chart, factor: float, length: str) -> None:
    [trigger] = scaled(chart, "llama3", "ScaledObject", factor=factor)["triggers"]
    assert trigger["metadata"]["listLength"] == length


def test_a_picture_in_hand_and_one_that_waits(chart: Chart) -> None:
    [trigger] = scaled(chart, "stable_diffusion", "ScaledObject")["triggers"]
    assert trigger["metadata"]["listLength"] == "8"


WEEK = 168  # hours


def next_time(cron: str, hour: int) -> int:
    """The first whole hour after this one of the week, which begins on Sunday, that `cron` names."""
    minute, hours, *dates, days = cron.split()
    assert (minute, dates) == ("0", ["*", "*"])
    named = {24 * int(day) + int(hours) for day in days.split(",")}
    return next(each for each in range(hour + 1, hour + WEEK + 1) if each % WEEK in named)


def by_clock(triggers: list[Object], hour: int) -> int:
    """Replicas that KEDA's cron triggers want: one whose next start is before its next end is not active."""
    wanted = [0]
    for trigger in triggers:
        told = trigger["metadata"]
        assert told["timezone"] == "Etc/UTC"
        assert told["start"] != told["end"], "KEDA refuses it"
        if next_time(told["start"], hour) >= next_time(told["end"], hour):
            wanted.append(int(told["desiredReplicas"]))
    return max(wanted)


def weeks() -> dict[str, tuple[int, ...]]:
    """Least replicas hour by hour, from Monday on."""
    chance = random.Random(1)
    working = [0] * 8 + [3] * 12 + [0] * 4
    return {
        "office": (*working * 5, *[0] * 48),
        "night": ((*[2] * 6, *[0] * 16, *[2] * 2) * 7),
        "always": (2,) * WEEK,
        "Sunday": (*[0] * 144, *[2] * 24),
        "any": tuple(chance.choice((0, 0, 1, 3)) for _ in range(WEEK)),
    }


@pytest.mark.parametrize("floors", weeks().values(), ids=weeks())
def test_minima_follow_the_clock_as_the_plan_has_them(chart: Chart, floors: tuple[int, ...]) -> None:
    entries = list(schedule(floors, 0))
    jobs, *clocks = scaled(chart, "llama3", "ScaledObject", min=0, schedule=entries)["triggers"]
    assert jobs["type"] == "redis"
    assert {each["type"] for each in clocks} == {"cron"}
    monday = 24
    assert tuple(by_clock(clocks, (monday + hour) % WEEK) for hour in range(WEEK)) == floors


def test_keda_knows_the_password(chart: Chart) -> None:
    objects = chart.objects(example(MANY_MODELS))
    [authentication] = of_kind(objects, "TriggerAuthentication")
    assert authentication["spec"]["secretTargetRef"] == [
        {"parameter": "password", "name": "crofai-valkey", "key": "password"}
    ]
    for each in of_kind(objects, "ScaledObject"):
        trigger = each["spec"]["triggers"][0]
        assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}


def test_keda_reaches_another_redis_over_tls(chart: Chart) -> None:
    [file] = [each for each in EXAMPLES if each.stem == "external-redis-keda"]
    [scaled_object] = of_kind(chart.objects(example(file)), "ScaledObject")
    [trigger] = scaled_object["spec"]["triggers"]
    assert trigger["metadata"]["address"] == "redis.example:6380"
    assert trigger["metadata"]["enableTLS"] == "true"


def test_an_hpa_reads_the_same_number(chart: Chart) -> None:
    [metric] = scaled(chart, "llama3", "HorizontalPodAutoscaler", "hpa")["metrics"]
    assert metric["external"] == {
        "metric": {"name": "crofai_open_jobs", "selector": {"matchLabels": {"model": "llama3"}}},
        "target": {"type": "AverageValue", "averageValue": "32"},
    }


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_who_is_scaled_has_no_number_without_a_cluster(chart: Chart, file: Any) -> None:
    """Whoever applies what was rendered so would set it back each time. Of Helm, test_kept_replicas tells."""
    objects = chart.objects(example(file))
    targets = [
        each["spec"]["scaleTargetRef"]["name"]
        for kind in ("ScaledObject", "HorizontalPodAutoscaler")
        for each in of_kind(objects, kind)
    ]
    for each in of_kind(objects, "Deployment"):
        assert ("replicas" in each["spec"]) == (each["metadata"]["name"] not in targets)
    for name in targets:
        assert one(objects, "Deployment", name)


def test_workers_go_one_by_one(chart: Chart) -> None:
    behavior = scaled(chart, "llama3", "ScaledObject")["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"] == {
        "stabilizationWindowSeconds": 300,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
    }


def test_no_fallback_takes_workers_away_while_redis_is(chart: Chart) -> None:
    assert "fallback" not in scaled(chart, "llama3", "ScaledObject", min=0)
