"""Alerts, and what is scraped for them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from shared.errors import RequestError
from tests.chart import CHART, FEWEST, MANY_MODELS, ROOT, Chart, Object, example, of_kind, pods
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
    "crofai_redis_up",
    "crofai_unwritten_usage",
    "crofai_queue_wait_seconds_bucket",
    "gen_ai_server_time_to_first_token_seconds_bucket",
    "gen_ai_server_request_duration_seconds_bucket",
    "gen_ai_server_request_duration_seconds_count",
}
"""All that alerts may look at, beside Prometheus' own `up`."""

ALL = {"metrics": {"rules": {"enabled": True, "runbook": "https://docs.example/alerts.md"}}}


@pytest.fixture(scope="module")
def alerts(chart: Chart) -> list[Object]:
    return rules(chart.objects(example(MANY_MODELS)))


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
    headings = re.findall(r"^## (Crofai\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert set(headings) == {each["alert"] for each in alerts}
    assert len(headings) == len(set(headings))
    for each in alerts:
        # As headings become anchors.
        assert each["annotations"]["runbook_url"].endswith(f"#{each['alert'].lower()}")


def test_alerts_are_disabled_by_their_names(chart: Chart, alerts: list[Object]) -> None:
    rules_of = chart.schema["properties"]["metrics"]["properties"]["rules"]["properties"]
    assert rules_of["disabled"]["items"]["enum"] == list(dict.fromkeys(each["alert"] for each in alerts))


def test_summaries_are_templates_of_prometheus(alerts: list[Object]) -> None:
    said = " ".join(each["annotations"]["summary"] for each in alerts)
    assert "{{ $labels.model }}" in said and "%!" not in said and "<no value>" not in said


def test_each_can_be_switched_off(chart: Chart) -> None:
    values: Any = json.loads(json.dumps(ALL))
    values["metrics"]["rules"]["disabled"] = ["CrofaiQueueGrows"]
    left = {each["alert"] for each in rules(chart.objects(FEWEST | values))}
    assert "CrofaiQueueGrows" not in left and "CrofaiGatewayDown" in left


def expressions(alerts: list[Object], name: str) -> list[str]:
    return [each["expr"] for each in alerts if each["alert"] == name]


def test_a_server_that_is_away_is_told_of(alerts: list[Object]) -> None:
    own = '{release="demo",namespace="ns"}'
    assert expressions(alerts, "CrofaiRedisDown") == [f"min(crofai_redis_up{own}) < 1"]
    assert expressions(alerts, "CrofaiUsageUnwritten") == [f"max(crofai_unwritten_usage{own}) > 500"]


def test_shares_are_of_some_traffic(alerts: list[Object]) -> None:
    """While the database is away no job is counted as ended: a share of none would be all."""
    shares = [each for each in alerts if " / " in each["expr"]]
    assert {each["alert"] for each in shares} == {"CrofaiRefusalsHigh", "CrofaiJobsStartedAgain"}
    for each in shares:
        share, bound = re.fullmatch(r"(.+) > [\d.]+\nand (.+) > 0\.1", each["expr"]).groups()  # type: ignore[union-attr]
        assert share.partition(" / ")[2] in (bound, f"({bound})")
    [window] = set(re.findall(r"\[(\d+)m\]", expressions(alerts, "CrofaiJobsStartedAgain")[0]))
    [patience] = [each["for"] for each in alerts if each["alert"] == "CrofaiJobsStartedAgain"]
    assert int(window) < int(patience.removesuffix("m"))


def test_strangers_set_off_no_alert(alerts: list[Object]) -> None:
    """Refusals count that an operator can mend: by their codes, and beside jobs that workers have begun."""
    [refusals] = expressions(alerts, "CrofaiRefusalsHigh")
    assert "crofai_job_attempts_total" in refusals and "gen_ai" not in refusals
    [reasons] = set(re.findall('reason=~"([^"]+)"', refusals))
    statuses = {error.code: error.status for error in kinds(RequestError)}
    assert {reason for reason in reasons.split("|") if statuses[reason] < 500} == {"queue_full"}
    unreachable = {code for code in statuses if code.endswith("_unreachable")}
    assert unreachable | {"queue_full", "model_unavailable", "too_many_clients"} < set(reasons.split("|"))


def kinds(error: type[RequestError]) -> set[type[RequestError]]:
    return {error}.union(*(kinds(each) for each in error.__subclasses__()))


def test_a_worker_that_dies_while_it_loads_does_not_count(alerts: list[Object]) -> None:
    """Each time it starts, it says that it loads; only who does so without a break is waited for. Models without a
    pool, which strangers may ask for, do not count."""
    [without] = expressions(alerts, "CrofaiModelWithoutWorker")
    own = 'release="demo",namespace="ns"'
    wanted, *excused = without.split("\nunless on (model) ")
    asked, models = re.sub('model=~"([^"]+)",', "", wanted), re.findall('model=~"([^"]+)"', wanted)
    assert asked == f"max by (model) (max_over_time(crofai_open_jobs{{{own}}}[5m])) > 0"
    assert models == ["|".join(sorted(example(MANY_MODELS)["models"]))]
    assert excused == [
        f'max by (model) (crofai_workers{{state="ready",{own}}}) > 0',
        f'min by (model) (min_over_time(crofai_workers{{state="loading",{own}}}[5m])) > 0',
    ]


def test_a_model_may_load_for_three_quarters_of_its_time(alerts: list[Object]) -> None:
    bounds = {
        model: each["for"]
        for each in alerts
        if each["alert"] == "CrofaiModelLoadsForLong"
        for model in re.findall('state="ready",model="([^"]+)"', each["expr"])
    }
    assert len(bounds) == 5
    assert bounds.pop("llama3.1-405b") == "5400s" and set(bounds.values()) == {"2700s"}


def test_a_pool_is_full_when_all_its_workers_are(alerts: list[Object]) -> None:
    """A factor only says when one more starts."""
    full = {
        each["annotations"]["summary"].split()[0]: each["expr"]
        for each in alerts
        if each["alert"] == "CrofaiPoolAtMaximum"
    }
    assert full["llama3.3-70b"].endswith("> 512")  # four workers of 128 jobs
    assert full["llama3.1-8b"].endswith("> 768")  # six, with a factor of 0.8
    assert "our-model" not in full  # is not scaled


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


@pytest.mark.parametrize("component, model", [("gateway", None), ("worker", "crofai_model")])
def test_monitors_tell_of_releases_and_models(
    examples: dict[str, list[Object]], component: str, model: str | None
) -> None:
    objects = examples["many-models"]
    [monitor] = [each for each in of_kind(objects, "PodMonitor") if each["metadata"]["name"].endswith(component)]
    given = {each["targetLabel"]: each for each in monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]}
    assert (given["release"]["replacement"], given["component"]["replacement"]) == ("demo", component)
    assert given["instance"]["sourceLabels"] == ["__meta_kubernetes_pod_name"]
    assert ("model" in given) == bool(model)
    if model:
        assert given["model"]["sourceLabels"] == [f"__meta_kubernetes_pod_annotation_{model}"]
        told = {pod["metadata"].get("annotations", {}).get("crofai/model") for pod in pods(objects)}
        assert {"llama3.3-70b", "our-model"} < told


def test_dashboards_are_mounted_as_they_are(chart: Chart, tmp_path: Path) -> None:
    folder = shutil.copytree(CHART, tmp_path / "crofai")
    (folder / "dashboards").mkdir(exist_ok=True)
    (folder / "dashboards" / "Of_ours.json").write_text('{"legend": "{{ model }}", "text": "a\\nb"}')
    files = sorted((folder / "dashboards").glob("*.json"))
    objects = Chart(folder).objects(example(MANY_MODELS))
    maps = [each for each in of_kind(objects, "ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    held = {name: json.loads(text) for each in maps for name, text in each["data"].items()}
    assert held == {file.name: json.loads(file.read_text()) for file in files}
