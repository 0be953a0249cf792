"""The dashboards as Grafana reads them; that their metrics exist is shown on running clusters."""

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


def test_they_ask_for_what_is_described() -> None:
    ours = {name for name in metrics() if name.startswith(("crofai", "gen_ai"))}
    bare = {name.removesuffix("_bucket").removesuffix("_sum") for name in ours}
    assert bare - described() <= {"crofai_gpu_utilization_ratio", "crofai_gpu_memory_used_bytes"}
    assert len(ours) > 20
