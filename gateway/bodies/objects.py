"""JSON objects from clients, before anything is known of their shape."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from shared.errors import InvalidRequest

MOST_INTEGER = 2**63 - 1


def parse_json(data: str | bytes) -> dict[str, Any]:
    """A JSON object from a client. Raises InvalidRequest for anything else."""
    if not data.strip():
        raise InvalidRequest("the body is empty; it should be a JSON object")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body should be a JSON object, got {_kind(value)}")
    _check_integers(data, value)
    return value


def model_name(value: Any) -> str:
    """The name of a model, wherever a dialect has it. Raises InvalidRequest."""
    if not isinstance(value, str):
        raise InvalidRequest("model: should be the name of a model; see /v1/models", param="model")
    return value


def _check_integers(text: str | bytes, value: dict[str, Any]) -> None:
    """Refuse integers of more than 64 bits below the fields, which none of our messages can carry.

    A field itself has a range of its own, and is held against it.
    """
    # Looking for their digits first is a hundred times faster than looking at every value.
    if not re.search(rb"[0-9]{19}", text if isinstance(text, bytes) else text.encode()):
        return
    # No recursion: a body may be nested deeper than our stack.
    waiting = [(param, member) for param, member in _members("", value) if not isinstance(member, int)]
    while waiting:
        param, member = waiting.pop()
        if isinstance(member, int) and not -MOST_INTEGER - 1 <= member <= MOST_INTEGER:
            takes = f"an integer from {-MOST_INTEGER - 1} to {MOST_INTEGER}"
            raise InvalidRequest(f"{param}: should be {takes}, got {str(member)[:30]}", param=param)
        waiting += _members(param, member)


def _members(param: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f"{param}.{key}".lstrip(".")[:80], member) for key, member in value.items())
    if isinstance(value, list):
        return ((f"{param}[{place}]"[:80], member) for place, member in enumerate(value))
    return ()


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
