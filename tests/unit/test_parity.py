"""How replies are compared with those of vLLM's server (tests/parity/), and what documents say of it."""

from typing import Any

import pytest

from tests.cluster import ROOT
from tests.parity.comparison import ABSENT, gaps
from tests.parity.differences import DIFFERENCES, Difference
from tests.parity.replies import events
from tests.parity.requests import requests


def reply(body: Any, status: int = 200) -> dict[str, Any]:
    return {"status": status, "type": "application/json", "body": body}


def test_the_document_tells_of_every_difference() -> None:
    told = (ROOT / "docs/openai.md").read_text()
    assert [difference.reason for difference in DIFFERENCES if difference.reason not in told] == []


def test_a_request_is_known_by_its_title_and_whether_it_is_streamed() -> None:
    titles = [(request.title, request.streamed) for request in requests()]
    assert len(set(titles)) == len(titles) > 300


@pytest.mark.parametrize(
    ("ours", "theirs", "places"),
    [
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, []),
        ({"a": -1.00001}, {"a": -1.0}, []),
        ({"a": -1.01}, {"a": -1.0}, ["body.a"]),
        ({"a": 1}, {"a": 1.0}, ["body.a"]),
        ({"a": 1}, {"a": True}, ["body.a"]),
        ({"a": None}, {}, ["body.a"]),
        ({}, {"a": None}, ["body.a"]),
        ({"a": [1, 2]}, {"a": [1]}, ["body.a[1]"]),
        ({"a": [2, 1]}, {"a": [1, 2]}, ["body.a[0]", "body.a[1]"]),
        ({"a": {}}, {"a": []}, ["body.a"]),
    ],
)
def test_places_that_differ(ours: Any, theirs: Any, places: list[str]) -> None:
    assert [gap.place for gap in gaps(reply(ours), reply(theirs))] == places


def test_of_replies_with_different_states_only_these_differ() -> None:
    (gap,) = gaps(reply({"a": 1}, 400), reply({"a": 2}))
    assert gap.place == "status 400 for 200"


def test_what_is_absent_is_no_text() -> None:
    (gap,) = gaps(reply({}), reply({"error": "x"}))
    assert gap.ours is ABSENT
    request = requests()[0]
    assert Difference(("*",), ("body.error",), "", ours=str).sightings(request, gap) == set()
    assert Difference(("*",), ("body.*",), "").sightings(request, gap) == {"*", "body.*"}


def test_events_of_a_stream() -> None:
    assert list(events(': waiting\n\ndata: {"a": 1}\n\ndata: [DONE]\n\n')) == [{"a": 1}, "[DONE]"]
    with pytest.raises(ValueError, match="no event"):
        list(events("id: 1\n\n"))
    with pytest.raises(ValueError, match="too many values"):
        list(events("data: 1\ndata: 2\n\n"))
