"""The dashboards as Grafana reads them; that their metrics exist is shown on running clusters."""

import re
from collections import Counter

import pytest

from tests.dashboards import dashboards, described, metrics


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_whole(name: str) -> None:
    board = dashboards()[name]
    assert board["uid"] == f"crofai-{name}"
    assert "id" not in board, "Grafana numbers them itself"
    ids = Counter(panel["id"] for panel in board["panels"])
    assert set(ids.values()) == {1}
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "any Grafana's own"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_looks_at_the_release_that_is_chosen(name: str) -> None:
    own = 'namespace=~"$namespace",release=~"$release"'
    board = dashboards()[name]
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in expressions:
        selectors = re.findall(r"[a-z:_]+\{([^}]*)\}", expression)
        assert selectors and all(each.startswith(own) for each in selectors), expression
        assert not re.findall(r"(?:crofai_|gen_ai_[sc]|vllm:|process_)\w+(?:\[|\)|$)", expression), (
            "has no selector"
        )
    variables = {each["name"]: each for each in board["templating"]["list"]}
    assert variables.keys() >= {"datasource", "namespace", "release", "model"}
    # Where nothing gives such labels, all is what has none.
    assert {variables[each]["allValue"] for each in ("namespace", "release", "model")} == {".*"}


def test_all_workers_are_no_other_processes() -> None:
    """All of a list are those that it lists."""
    board = dashboards()["workers"]
    [instance] = [each for each in board["templating"]["list"] if each["name"] == "instance"]
    assert instance["includeAll"] and "allValue" not in instance
    assert instance["query"]["query"].startswith("label_values(crofai_worker_capacity{")
    for panel in board["panels"]:
        for target in panel["targets"]:
            assert 'model=~"$model",instance=~"$instance"' in target["expr"]
            assert "{{instance}}" not in target["legendFormat"] or "{{model}}" in target["legendFormat"]


def test_they_ask_for_what_is_described() -> None:
    ours = {name for name in metrics() if name.startswith(("crofai", "gen_ai"))}
    bare = {name.removesuffix("_bucket").removesuffix("_sum") for name in ours}
    assert bare - described() <= {"crofai_gpu_utilization_ratio", "crofai_gpu_memory_used_bytes"}
    assert len(ours) > 20
