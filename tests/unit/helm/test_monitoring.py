"""Alerts, and what is scraped for them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.chart import CHART, EXAMPLES, FEWEST, ROOT, Chart, Object, example, of_kind, pods
from tests.dashboards import described

METRICS = {
    "crofai_open_jobs",
    "crofai_waiting_jobs",
    "crofai_workers",
    "crofai_refusals_total",
    "crofai_job_attempts_total",
    "crofai_dead_letters",
    "crofai_log_lag_seconds",
    "crofai_canary_success",
    "crofai_queue_wait_seconds_bucket",
    "gen_ai_server_time_to_first_token_seconds_bucket",
    "gen_ai_server_request_duration_seconds_bucket",
    "gen_ai_server_request_duration_seconds_count",
}
"""All that alerts may look at, beside Prometheus' own `up`."""

ALL = {"metrics": {"rules": {"enabled": True, "runbook": "https://docs.example/operations.md"}}}


@pytest.fixture(scope="module")
def alerts(chart: Chart) -> list[Object]:
    [file] = [each for each in EXAMPLES if each.stem == "many-models"]
    return rules(chart.objects(example(file)))


def rules(objects: list[Object]) -> list[Object]:
    [found] = of_kind(objects, "PrometheusRule")
    [group] = found["spec"]["groups"]
    return list(group["rules"])


def metrics(expression: str) -> set[str]:
    """Names that selectors follow; functions and labels are none."""
    return set(re.findall(r"([a-z_]+)\{", expression))


def test_alerts_look_at_metrics_that_there_are(alerts: list[Object]) -> None:
    used = set().union(*(metrics(each["expr"]) for each in alerts))
    assert used == METRICS | {"up"}
    # What is described is shown to be measured by the tests of running clusters.
    assert {re.sub("_(bucket|count)$", "", name) for name in METRICS} <= described()


def test_alerts_are_of_their_own_release(alerts: list[Object]) -> None:
    for each in alerts:
        selectors = re.findall(r"\{([^}]*)\}", each["expr"])
        assert selectors and all('release="demo",namespace="ns"' in found for found in selectors), each["alert"]


def test_every_alert_is_explained(alerts: list[Object]) -> None:
    headings = re.findall(r"^### (Crofai\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert set(headings) == {each["alert"] for each in alerts}
    assert len(headings) == len(set(headings))
    for each in alerts:
        # As headings become anchors.
        assert each["annotations"]["runbook_url"].endswith(f"#{each['alert'].lower()}")


def test_summaries_are_templates_of_prometheus(alerts: list[Object]) -> None:
    said = " ".join(each["annotations"]["summary"] for each in alerts)
    assert "{{ $labels.model }}" in said and "%!" not in said and "<no value>" not in said


def test_each_can_be_switched_off(chart: Chart) -> None:
    values: Any = json.loads(json.dumps(ALL))
    values["metrics"]["rules"]["disabled"] = ["CrofaiQueueGrows"]
    left = {each["alert"] for each in rules(chart.objects(FEWEST | values))}
    assert "CrofaiQueueGrows" not in left and "CrofaiGatewayDown" in left


def test_a_pool_is_full_when_all_its_workers_are(alerts: list[Object]) -> None:
    full = {
        each["summary"].split()[0]: each["expr"]
        for each in _flat(alerts)
        if each["alert"] == "CrofaiPoolAtMaximum"
    }
    assert full["llama3.3-70b"].endswith("> 512")  # four workers of 128 jobs
    assert "our-model" not in full  # is not scaled


def _flat(alerts: list[Object]) -> list[Object]:
    return [each | each["annotations"] for each in alerts]


@pytest.mark.parametrize("component", ["gateway", "worker"])
def test_monitors_find_pods_and_their_port(examples: dict[str, list[Object]], component: str) -> None:
    objects = examples["many-models"]
    [monitor] = [each for each in of_kind(objects, "PodMonitor") if each["metadata"]["name"].endswith(component)]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [pod for pod in pods(objects) if wanted.items() <= pod["metadata"]["labels"].items()]
    assert found
    for pod in found:
        names = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in names


def test_dashboards_are_mounted_as_they_are(chart: Chart, tmp_path: Path) -> None:
    folder = shutil.copytree(CHART, tmp_path / "crofai")
    (folder / "dashboards").mkdir(exist_ok=True)
    (folder / "dashboards" / "Of_ours.json").write_text('{"legend": "{{ model }}", "text": "a\\nb"}')
    files = sorted((folder / "dashboards").glob("*.json"))
    [file] = [each for each in EXAMPLES if each.stem == "many-models"]
    objects = Chart(folder).objects(example(file))
    maps = [each for each in of_kind(objects, "ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    held = {name: json.loads(text) for each in maps for name, text in each["data"].items()}
    assert held == {file.name: json.loads(file.read_text()) for file in files}
