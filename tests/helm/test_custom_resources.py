"""What the chart asks of KEDA and of the Prometheus operator is what their own definitions take."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart import EXAMPLES, Chart, Object, example, of_kind

CHECK = Path(__file__).with_name("check.mjs")
GROUPS = ("keda.sh/", "monitoring.coreos.com/")


def verdicts(objects: list[Object]) -> list[str]:
    """What is wrong with each; nothing, if it is right."""
    if not (CHECK.parent / "node_modules").is_dir():
        pytest.fail("the schemas are not installed: make clients")
    done = subprocess.run(["node", CHECK], input=json.dumps(objects), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def custom() -> list[Object]:
    chart = Chart()
    objects = [each for file in EXAMPLES for each in chart.objects(example(file))]
    return [each for each in objects if each["apiVersion"].startswith(GROUPS)]


WRONG: list[tuple[str, list[Any], Any]] = [
    ("ScaledObject", ["spec", "minReplicaCount"], "none"),
    ("ScaledObject", ["spec", "scaleTargetRef"], None),
    ("ScaledObject", ["spec", "triggers", 0, "metadata", "listLength"], 64),
    ("ScaledObject", ["spec", "coolDownPeriod"], 600),
    ("ScaledObject", ["spec", "advanced", "horizontalPodAutoscalerConfig", "behaviour"], {}),
    ("TriggerAuthentication", ["spec", "secretTargetRef", 0, "parameter"], None),
    ("PodMonitor", ["spec", "selector"], None),
    ("PodMonitor", ["spec", "podMetricsEndpoints", 0, "interval"], "15 seconds"),
    ("PodMonitor", ["spec", "podMetricsEndpoints", 0, "relabeling"], []),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "for"], "two minutes"),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "summary"], "x"),
]


def test_they_are_taken(custom: list[Object]) -> None:
    kinds = {each["kind"] for each in custom}
    assert kinds == {"ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"}
    for each, verdict in zip(custom, verdicts(custom), strict=True):
        assert verdict == "", f"{each['kind']} {each['metadata']['name']}: {verdict}"


def test_what_is_wrong_would_be_seen(custom: list[Object]) -> None:
    told = verdicts([_spoilt(of_kind(custom, kind)[0], path, value) for kind, path, value in WRONG])
    assert [wrong for wrong, verdict in zip(WRONG, told, strict=True) if not verdict] == []


def _spoilt(right: Object, path: list[Any], value: Any) -> Object:
    """With another value there; None is none."""
    wrong = copy.deepcopy(right)
    *way, last = path
    part: Any = wrong
    for step in way:
        part = part[step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return wrong
