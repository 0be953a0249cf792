"""JSON objects from clients, before anything is known of their shape."""

import codecs
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from shared.errors import InvalidRequest

MOST_INTEGER = 2**63 - 1
MOST_DIGITS = 4300  # of an integer that Python reads from a text
LONGEST = 80  # characters of a name in a message

CONTAINERS = (dict, list)


class Link(NamedTuple):
    """A member's name or number in what is around it, whose own link is `parent`: None for the body's fields."""

    parent: "Link | None"
    key: str | int


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
        _check_text(data)
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


def _check_text(data: str | bytes) -> None:
    """Refuse bytes that are no text, by their place in the body; the parser tells that in their value."""
    if data[:1] == "\ufeff" or data[:3] == codecs.BOM_UTF8:
        raise InvalidRequest("the body begins with a byte order mark (BOM); send JSON without it")
    try:
        data.encode() if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        ) from None
    except UnicodeEncodeError:
        return  # half of a surrogate pair, whose field is told


def _check_values(data: str | bytes) -> None:
    """Refuse by their names numbers and texts that only look it; the parser does not say where they are."""
    with suppress(ValueError, RecursionError):
        value = json.loads(data, parse_int=_integer, parse_float=_fraction, parse_constant=_Unread)
        for parent, key, member in _leaves(value):
            if isinstance(member, _Unread):
                raise _refusal(Link(parent, key), f"should be a number of at most 64 bits, got {member[:30]}")
            if _has_half(member) or _has_half(key):
                raise _refusal(Link(parent, key), "should be Unicode text, got half of a surrogate pair")


def _has_half(member: Any) -> bool:
    return isinstance(member, str) and not member.isascii() and re.search("[\ud800-\udfff]", member) is not None


def _check_integers(text: str | bytes, value: dict[str, Any]) -> None:
    """Refuse integers of more than 64 bits below the fields, which none of our messages can carry.

    A field itself has a range of its own, and is held against it.
    """
    # Looking for their digits first is a hundred times faster than looking at every value.
    if not re.search(rb"[0-9]{19}", text if isinstance(text, bytes) else text.encode()):
        return
    for parent, key, member in _leaves(value):
        if isinstance(member, int) and parent and not -MOST_INTEGER - 1 <= member <= MOST_INTEGER:
            takes = f"an integer from {-MOST_INTEGER - 1} to {MOST_INTEGER}"
            raise _refusal(Link(parent, key), f"should be {takes}, got {str(member)[:30]}")


def _leaves(value: Any) -> Iterator[tuple[Link | None, str | int, Any]]:
    """All members of objects and lists: the link of what is around each, its name or number there, and itself."""
    # No recursion: a body may be nested deeper than our stack. No paths: there may be half a million, all long.
    waiting: list[tuple[Link | None, Any]] = [(None, value)]
    while waiting:
        parent, container = waiting.pop()
        members = container.items() if isinstance(container, dict) else enumerate(container)
        for key, member in members:
            yield parent, key, member
            if isinstance(member, CONTAINERS):
                waiting.append((Link(parent, key), member))


def _refusal(link: Link, fix: str) -> InvalidRequest:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in _path(link)]
    param = "".join(parts).removeprefix(".").encode(errors="backslashreplace").decode()[:LONGEST]
    return InvalidRequest(f"{param}: {fix}", param=param)


def _path(link: Link | None) -> list[str | int]:
    """From the body's field down to the member."""
    path: list[str | int] = []
    while link is not None:
        path.append(link.key)
        link = link.parent
    return path[::-1]


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
