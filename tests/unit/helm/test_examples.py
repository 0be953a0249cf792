"""Every example is what Helm and Kubernetes take."""

from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.chart import CHART, EXAMPLES, FEWEST, Chart, Object, example

KUBERNETES = list(dict.fromkeys(utils.all_versions()))[-3:]
FOREIGN = ("keda.sh/", "monitoring.coreos.com/")
"""Of custom resources, which tests/helm holds against their own schemas."""


@pytest.fixture(autouse=True, scope="module")
def _read_once() -> Any:
    """Its schemas are large, and it reads them for each object."""
    read = utils.schema_contents
    utils.schema_contents = cache(read)
    yield
    utils.schema_contents = read


def test_there_are_examples() -> None:
    assert {"cpu-demo", "one-gpu", "many-models", "external-redis"} <= {file.stem for file in EXAMPLES}


def test_helm_finds_no_fault(file: Path) -> None:
    report = helm_python.lint(CHART, example(file), strict=True)
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_every_object(objects: list[Object], version: str) -> None:
    ours = [each for each in objects if not each["apiVersion"].startswith(FOREIGN)]
    assert len(ours) > 10
    for each in ours:
        kubernetes_validate.validate(each, version, strict=True)


def test_an_object_that_is_wrong_would_be_seen(objects: list[Object]) -> None:
    [deployment] = [each for each in objects if each["metadata"]["name"] == "demo-crofai-gateway"][:1]
    wrong = deployment | {"spec": deployment["spec"] | {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


def test_names_are_short_enough_and_unique(objects: list[Object]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    # A pod's name is its Deployment's and 17 characters more, and should be a label of DNS.
    assert max(len(name) for _, name in names) <= 63 - 17


def test_notes_tell_the_next_commands(chart: Chart, file: Path) -> None:
    notes = chart.texts(example(file))["crofai/templates/NOTES.txt"]
    assert "crofai keys create" in notes and "helm test" in notes
    assert "<no value>" not in notes and "%!" not in notes


def test_the_fewest_values_do(chart: Chart) -> None:
    assert chart.objects(FEWEST)


def test_a_package_of_it_has_all_that_it_needs(tmp_path: Path, file: Path) -> None:
    """The catalogue, too, which is a link in the chart's folder."""
    package = Path(helm_python.package(CHART, destination=tmp_path))
    assert len(Chart(package).objects(example(file))) > 10


def test_an_upgrade_renders_what_an_install_does(chart: Chart) -> None:
    def kinds(**how: bool) -> list[tuple[str, str]]:
        return [(each["kind"], each["metadata"]["name"]) for each in chart.objects(FEWEST, **how)]

    assert kinds(is_install=True) == kinds(is_upgrade=True)
