"""What starts new pods at an upgrade, and what does not: a worker's model takes minutes to load."""

import ast
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import Settings
from tests.chart import CHART, FEWEST, ROOT, Chart, Object, of_kind, one, pods, variables
from tests.unit.helm.test_pods import OWN

MODEL: Object = {"models": {"llama3": {}}}
LESS = {"engine_args": {"gpu_memory_utilization": 0.5}}


def catalogue(**entries: Any) -> Object:
    return {"catalogue": {"file": yaml.safe_dump({"models": entries})}}


FIRST = catalogue(**{"qwen0.5": {"max_tokens": 9}, "llama3": LESS})


class Pods:
    """Of the gateway and of one worker."""

    def __init__(self, chart: Chart, values: Object) -> None:
        objects = chart.objects(FEWEST | MODEL | values)
        self.gateway: Object = one(objects, "Deployment", "demo-crofai-gateway")["spec"]["template"]
        self.worker: Object = one(objects, "Deployment", "demo-crofai-llama3")["spec"]["template"]


@pytest.fixture(scope="module")
def before(chart: Chart) -> Pods:
    return Pods(chart, FIRST)


@cache
def read_by_workers() -> set[str]:
    """Settings by what workers' code takes of a `settings`, and the queue of theirs."""
    files = [*(ROOT / "workers").rglob("*.py"), ROOT / "shared" / "queues.py"]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    found = {node.attr for node in attributes if getattr(node.value, "id", "") == "settings"}
    return found & set(Settings.model_fields) - OWN


def other(setting: str) -> Any:
    """A value that is not its default."""
    default = Settings.model_fields[setting].default
    words = {"log_level": "DEBUG", "log_format": "json", "cors_origins": "https://a.example", "otlp_endpoint": "x"}
    return words.get(setting, not default if isinstance(default, bool) else 77)


@pytest.mark.parametrize("setting", sorted(set(Settings.model_fields) - OWN))
def test_workers_start_anew_for_the_settings_that_they_read(chart: Chart, before: Pods, setting: str) -> None:
    after = Pods(chart, FIRST | {"settings": {setting: other(setting)}})
    assert after.gateway != before.gateway
    assert (after.worker != before.worker) == (setting in read_by_workers())


def test_operators_are_told_which_they_are() -> None:
    [row] = re.findall(r"^\| `settings` \|.*$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {"settings"} | read_by_workers()


@pytest.mark.parametrize(
    "entry",
    [
        LESS | {"context": 4096},
        {"engine_args": {"gpu_memory_utilization": 0.5, "max_num_seqs": 7}},
        {"engine_args": {"gpu_memory_utilization": None}},
        {"engine": "simulated", "kind": "chat"},
    ],
)
def test_a_worker_starts_anew_for_its_own_entry(chart: Chart, before: Pods, entry: Object) -> None:
    assert Pods(chart, catalogue(llama3=entry)).worker != before.worker


@pytest.mark.parametrize(
    "entries",
    [
        {"qwen0.5": {"context": 4096}, "tinyllama": None, "llama3": LESS},
        {"llama3": LESS | {"description": "Ours.", "aliases": ["l3"], "price": {"prompt": 2}, "gpus": "1x 80 GB"}},
    ],
)
def test_a_worker_goes_on_when_others_entries_change(chart: Chart, before: Pods, entries: Object) -> None:
    after = Pods(chart, catalogue(**entries))
    assert after.worker == before.worker and after.gateway != before.gateway


def test_workers_know_no_tiers(chart: Chart) -> None:
    without, tiers = Pods(chart, {}), Pods(chart, {"tiers": {"file": "tiers: {free: {priority: 5}}"}})
    assert tiers.worker == without.worker
    assert "CROFAI_TIERS_FILE" in variables(tiers.gateway["spec"]["containers"][0])


def test_what_is_in_anothers_config_map_is_not_summed(chart: Chart) -> None:
    found = Pods(chart, {"catalogue": {"existingConfigMap": "mine"}, "tiers": {"existingConfigMap": "mine"}})
    for pod in (found.gateway, found.worker):
        assert {key for key in pod["metadata"]["annotations"] if "checksum" in key} == {"checksum/settings"}


def test_the_chart_merges_as_workers_do(chart: Chart) -> None:
    """Null takes back, also the number of GPUs."""
    file = catalogue(**{"llama3.3-70b": {"tensor_parallel": None, "engine_args": {"max_num_seqs": None}}})
    values = FEWEST | {"models": {"llama3.3-70b": {}}} | file
    [_, deployment] = of_kind(chart.objects(values), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}


def test_a_new_version_of_the_chart_alone_starts_nothing(chart: Chart, tmp_path: Path) -> None:
    folder = shutil.copytree(CHART, tmp_path / "crofai")
    about = folder / "Chart.yaml"
    about.write_text(re.sub("(?m)^version: .*", "version: 9.9.9", about.read_text()))
    values = FEWEST | MODEL | {"metrics": {"podMonitors": {"enabled": True}}}
    before, after = chart.objects(values), Chart(folder).objects(values)
    assert after != before
    lasting = ("Deployment", "StatefulSet")
    found = [list(pods([each for each in some if each["kind"] in lasting])) for some in (before, after)]
    assert found[0] == found[1] and len(found[0]) == 3
