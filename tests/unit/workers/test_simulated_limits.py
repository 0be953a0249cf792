"""What the simulated engine keeps to, and what it refuses."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from workers.engines.simulated_limits import check_simulated, until_stop

WORDS = ["one", " two", " three"]


@pytest.mark.parametrize(
    ("stop", "kept", "end"),
    [
        ([], WORDS, None),
        ("four", WORDS, None),
        ("two", ["one", " "], "two"),
        (["three", "ne t"], ["o", ""], "ne t"),
        ("one", [""], "one"),
        ("e", ["on"], "e"),
    ],
)
def test_an_answer_ends_before_the_first_of_its_stops(stop: Any, kept: list[str], end: str | None) -> None:
    assert until_stop(WORDS, stop) == (kept, end)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("structured_outputs", {"choice": ["a"]}),
        ("response_format", {"type": "json_object"}),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "a"}}),
        ("logprobs", True),
        ("logprobs", 0),
    ],
)
def test_what_only_a_model_can_do_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"{field}: the simulated engine") as error:
        check_simulated({field: value})
    assert error.value.param == field


@pytest.mark.parametrize(
    "body",
    [{}, {"tools": [{}]}, {"tool_choice": "auto"}, {"response_format": {"type": "text"}, "logprobs": False}],
)
def test_what_costs_nothing_is_taken(body: dict[str, Any]) -> None:
    check_simulated(body)
