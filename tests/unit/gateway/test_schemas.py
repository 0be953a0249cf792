"""How much an engine may have to compile of a client's schema."""

from typing import Any

import pytest

from gateway.bodies import openai_body
from shared.errors import InvalidRequest
from tests.chats import CHAT, TURN
from tests.endpoints import large


def ask(schema: dict[str, Any]) -> dict[str, Any]:
    return openai_body(CHAT, {"messages": [TURN], "structured_outputs": {"json": schema}})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("properties", "at most 2000 properties, got 2001"),
        ("optional", "at most 300 optional properties, which `required` does not name, got 301"),
        ("values", "at most 2000 values in `enum`, got 2001"),
        ("text", "at most 100000 characters in names, values and patterns, got 100001"),
    ],
)
def test_a_schema_that_is_too_large_is_told_what_is_and_the_bound(kind: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        ask(large(kind))
    assert str(error.value) == f"structured_outputs.json: should have {words}"


def test_a_schema_may_be_as_large_as_the_bounds() -> None:
    names = [f"p{number:04}" for number in range(2000)]
    schema = {"type": "object", "properties": {name: {"enum": ["a"]} for name in names}, "required": names[300:]}
    assert ask(schema)["structured_outputs"] == {"json": schema}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": [1], "required": 3, "enum": "abc", "const": 5, "pattern": []},
        {"properties": {"properties": {"properties": {}}, "enum": {"enum": [None]}}, "required": [1, None, []]},
    ],
)
def test_what_is_no_schema_is_left_to_the_engine(schema: dict[str, Any]) -> None:
    assert ask(schema)["structured_outputs"] == {"json": schema}
