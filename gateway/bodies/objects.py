"""JSON objects from clients, before anything is known of their shape."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from shared.errors import InvalidRequest

MOST_INTEGER = 2**63 - 1
MOST_DIGITS = 4300  # of an integer that Python reads from a text
LONGEST = 80  # characters of a name in a message

CONTAINERS = (dict, list)
Path: TypeAlias = tuple[str | int, ...]


def parse_json(data: str | bytes) -> dict[str, Any]:
    """A JSON object from a client. Raises InvalidRequest for anything else."""
    if not data.strip():
        raise InvalidRequest("the body is empty; it should be a JSON object")
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise InvalidRequest("the body is nested too deep") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        _check_values(data)
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


class _Unread(str):
    """A number as it was written, which is none that we can hold."""


def _integer(digits: str) -> int | _Unread:
    return int(digits) if len(digits) < MOST_DIGITS else _Unread(digits)


def _fraction(digits: str) -> float | _Unread:
    return value if math.isfinite(value := float(digits)) else _Unread(digits)


def _check_values(data: str | bytes) -> None:
    """Refuse by their names numbers and texts that only look it; the parser does not say where they are."""
    with suppress(ValueError, RecursionError):
        value = json.loads(data, parse_int=_integer, parse_float=_fraction, parse_constant=_Unread)
        for path, key, member in _leaves(value):
            if isinstance(member, _Unread):
                raise _refusal((*path, key), f"should be a number of at most 64 bits, got {member[:30]}")
            if _has_half(member) or _has_half(key):
                raise _refusal((*path, key), "should be Unicode text, got half of a surrogate pair")


def _has_half(member: Any) -> bool:
    return isinstance(member, str) and not member.isascii() and re.search("[\ud800-\udfff]", member) is not None


def _check_integers(text: str | bytes, value: dict[str, Any]) -> None:
    """Refuse integers of more than 64 bits below the fields, which none of our messages can carry.

    A field itself has a range of its own, and is held against it.
    """
    # Looking for their digits first is a hundred times faster than looking at every value.
    if not re.search(rb"[0-9]{19}", text if isinstance(text, bytes) else text.encode()):
        return
    for path, key, member in _leaves(value):
        if isinstance(member, int) and path and not -MOST_INTEGER - 1 <= member <= MOST_INTEGER:
            takes = f"an integer from {-MOST_INTEGER - 1} to {MOST_INTEGER}"
            raise _refusal((*path, key), f"should be {takes}, got {str(member)[:30]}")


def _leaves(value: Any) -> Iterator[tuple[Path, str | int, Any]]:
    """All members of objects and lists: what is around each, its name or number there, and itself."""
    # No recursion: a body may be nested deeper than our stack. No names: there may be half a million.
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, container = waiting.pop()
        members = container.items() if isinstance(container, dict) else enumerate(container)
        for key, member in members:
            yield path, key, member
            if isinstance(member, CONTAINERS):
                waiting.append(((*path, key), member))


def _refusal(path: Path, fix: str) -> InvalidRequest:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    param = "".join(parts).removeprefix(".").encode(errors="backslashreplace").decode()[:LONGEST]
    return InvalidRequest(f"{param}: {fix}", param=param)


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
