"""JSON schemas from clients, and how much an engine has to compile of one: it takes seconds for what is larger.

A form that is small and hard to compile is ended by the worker (workers/engines/grammar_trials.py).
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MOST_LEVELS = 100
"""Of nesting: the time that an engine takes to read a schema grows with the cube of them, 400 take it 9 s."""

MOST_PROPERTIES = 2000
MOST_OPTIONAL = 300
"""Of properties, those that need not be there: the time grows with their square, 300 take 0.2 s, 1000 2.5 s."""

MOST_VALUES = 2000
"""Of `enum`, in all, and of a choice: 60,000 take 49 s."""

MOST_TEXT = 100_000
"""Characters of names, values and patterns: 200,000 take 1.5 s."""

MOST_GRAMMAR = 20_000
"""Characters of a grammar, or of a regular expression."""


def _is_moderate(schema: dict[str, Any]) -> dict[str, Any]:
    properties = optional = values = text = 0
    for node in _nodes(schema):
        if isinstance(names := node.get("properties"), dict):
            required = node.get("required")
            needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
            properties += len(names)
            optional += len(names.keys() - needed)
            text += sum(map(len, names))
        given = node.get("enum")
        said = given if isinstance(given, list) else []
        values += len(said)
        text += sum(
            len(value) for value in (*said, node.get("const"), node.get("pattern")) if isinstance(value, str)
        )
    _check(properties, MOST_PROPERTIES, "properties")
    _check(optional, MOST_OPTIONAL, "optional properties, which `required` does not name")
    _check(values, MOST_VALUES, "values in `enum`")
    _check(text, MOST_TEXT, "characters in names, values and patterns")
    return schema


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All objects in it. Raises PydanticCustomError if they are nested too deep."""
    level: list[Any] = [schema]
    for _ in range(MOST_LEVELS):
        yield from (node for node in level if isinstance(node, dict))
        members = [node.values() if isinstance(node, dict) else node for node in level]
        level = [each for some in members for each in some if isinstance(each, (dict, list))]
        if not level:
            return
    raise PydanticCustomError("deep", f"should be nested at most {MOST_LEVELS} levels deep")


def _check(count: int, most: int, what: str) -> None:
    if count > most:
        raise PydanticCustomError("large", f"should have at most {most} {what}, got {count}")


JsonSchema = Annotated[dict[str, Any], AfterValidator(_is_moderate)]
