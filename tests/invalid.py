"""Invalid requests: valid ones with exactly one thing made wrong, so that it is known what an error should name.

Deterministic: which of the valid bodies is spoilt in which way is drawn by `SEED`.
"""

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.endpoints import Endpoint

SEED = 20261124

Path = tuple[str | int, ...]
Patterns = dict[str, list[tuple[dict[str, Any], Path]]]
"""Places such as `messages[].content`: the bodies that have one, and where."""

JSON = {"Content-Type": "application/json"}
SAMPLES: dict[str, Any] = {
    "text": "3",
    "integer": 3,
    "fraction": 0.5,
    "boolean": True,
    "list": [3],
    "object": {"a": 3},
}
KINDS: dict[type, str] = {type(sample): kind for kind, sample in SAMPLES.items()}
FREE = frozenset(
    "schema parameters json metadata chat_template_kwargs logit_bias input input_schema cache_control "
    "prompt_cache_options annotations citations".split()
)
"""What is a client's own below."""


@dataclass(frozen=True)
class Invalid:
    """A request, and the place that its error should name; None is for what is no JSON object at all."""

    what: str
    path: str
    body: bytes
    param: str | None = None
    status: int = 400
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def invalid(endpoint: Endpoint) -> Iterator[Invalid]:
    """All that is made for this address."""
    chance = random.Random(f"{SEED} {endpoint.path}")
    found = patterns(endpoint)
    for what, body, param in (
        *_wrong_types(found, chance),
        *_wrong_members(endpoint, found, chance),
        *_wrong_values(endpoint, found, chance),
        *_unheld(found, chance),
    ):
        yield Invalid(what, endpoint.path, json.dumps(body).encode(), param)
    yield from _no_json(endpoint.path, json.dumps(endpoint.taken[0]).encode())


def patterns(endpoint: Endpoint) -> Patterns:
    """Every place of every body that is taken, the fields of objects and the members of lists."""
    found: Patterns = {}
    for body in endpoint.taken:
        for path in _places(body):
            found.setdefault(pattern(path), []).append((body, path))
    return found


def pattern(path: Path) -> str:
    return named(path, "[]")


def named(path: Path, index: str = "[{}]") -> str:
    """As errors name a place: `messages[0].content`."""
    return "".join(index.format(p) if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


Spoilt = Iterator[tuple[str, dict[str, Any], str]]


def _wrong_types(found: Patterns, chance: random.Random) -> Spoilt:
    """Each type of JSON that is not a place's own, and null in lists."""
    for name, some in found.items():
        own = {KINDS[type(member)] for body, path in some if (member := _at(body, path)) is not None}
        own |= {"integer"} if "fraction" in own else set()
        for kind in (kind for kind in SAMPLES if kind not in own):
            body, path = chance.choice(some)
            if _decides(path):
                continue
            yield f"{kind} for {own}", _put(body, path, SAMPLES[kind]), named(path)
        if name.endswith("[]") and not _decides(some[-1][1]):
            body, path = some[-1]
            yield "null in a list", _put(body, path, None), named(path)


def _decides(path: Path) -> bool:
    """The first member of a list of prompts tells what the others should be: they are wrong then."""
    return path == ("prompt", 0)


def _wrong_members(endpoint: Endpoint, found: Patterns, chance: random.Random) -> Spoilt:
    """Fields misspelt, and unknown ones, at the top and in every object below."""
    for name, some in found.items():
        body, path = chance.choice(some)
        if isinstance(path[-1], str):
            misspelt = (*path[:-1], f"{path[-1]}x")
            yield "misspelt", _rename(body, path), named(path if name in (*endpoint.tags, "model") else misspelt)
        if isinstance(_at(body, path), dict) and path[-1] not in FREE:
            yield "unknown field", _put(body, (*path, "zzz"), 1), named((*path, "zzz"))
            many = {f"z{number}": 1 for number in range(1_000)}
            yield "unknown fields", _put(body, path, _at(body, path) | many), named((*path, "z0"))
    for strange in ("zzz", "", "é", "a b", "__class__", "messages[0]", "|text", "x" * 80, "\x00"):
        yield "unknown field", chance.choice(endpoint.taken) | {strange: 1}, strange
    yield "unknown fields", endpoint.taken[0] | {f"z{number}": 1 for number in range(70_000)}, "z0"


def _wrong_values(endpoint: Endpoint, found: Patterns, chance: random.Random) -> Spoilt:
    """Out of range, empty, too long, of no such name, or at odds with another field."""
    for param, fields in endpoint.wrong:
        yield f"{str(fields)[:80]}", endpoint.taken[0] | fields, param
    for name in _required(endpoint):
        yield "left out", {key: value for key, value in endpoint.taken[0].items() if key != name}, name
        yield "null", endpoint.taken[0] | {name: None}, name
    for name in _enumerated(endpoint):
        body, path = chance.choice(found[name])
        yield "no such value", _put(body, path, "nonsense"), named(path)


def _unheld(found: Patterns, chance: random.Random) -> Spoilt:
    """Numbers that no message holds, and texts that are none, in each place of numbers and texts."""
    for some in found.values():
        body, path = chance.choice(some)
        member = _at(body, path)
        if isinstance(member, str):
            for text in ("\ud800", "a\udfffb"):
                yield "half of a surrogate pair", _put(body, path, text), named(path)
        elif isinstance(member, int | float) and not isinstance(member, bool):
            for number in (float("nan"), float("inf"), float("-inf"), 10**400, -(10**400)):
                yield f"{str(number)[:20]}", _put(body, path, number), named(path)


def _no_json(path: str, valid: bytes) -> Iterator[Invalid]:
    """What is wrong with a body as a whole, or with its head."""
    text = valid.decode()
    deep = 10_000
    for body in (
        *(b"", b" \n", b"[]", b"3", b"null", b"true", b'"x"', b"NaN", b"\x00", b"{", b"'{}'", b"{}}"),
        *(valid[:-1], valid + b"x", valid + valid, valid + b"\x00", valid[:-1] + b",}", b"\xef\xbb\xbf" + valid),
        *(text.encode(code) for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        *(
            valid[:-1] + b',"user":"' + bad + b'"}'
            for bad in (b"\xff", b"\xc0\x80", b"\x01", b"\n", b"\\x", b"\\ud8")
        ),
        *(
            valid[:-1] + b',"seed":' + bad + b"}"
            for bad in (b"01", b"+1", b"1.", b".5", b"0x1", b"1e", b"--1", b"None")
        ),
        *(b"[" * deep, b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep),
        *(valid[:-1] + b',"messages":' + b"[" * deep + b"]" * deep + b"}",),
        *(valid[:-1] + b",/**/" + b'"a":1}', valid[:-1] + b',"a"}', valid[:-1] + b",1:2}"),
    ):
        yield Invalid(f"no JSON object: {body[:20]!r}", path, body)
    for number in (b"1e400", b"-1e400", b"1" * 5_000):
        yield Invalid(f"{number[:9]!r}", path, valid[:-1] + b',"seed":' + number + b"}", "seed")
    yield Invalid("half a pair in bytes", path, valid[:-1] + b',"user":"\xed\xa0\x80"}', "user")
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"):
        yield Invalid(f"of type {kind}", path, valid, status=415, headers={"Content-Type": kind})
    for name, packed in (("gzip", gzip.compress(valid)), ("deflate", zlib.compress(valid)), ("br", valid)):
        headers = JSON | {"Content-Encoding": name}
        yield Invalid(f"packed with {name}", path, packed, status=415, headers=headers)
    yield Invalid("packed, and not said to be", path, gzip.compress(valid))
    said = {"Content-Type": "application/json; charset=utf-16"}
    yield Invalid("utf-16, and said to be", path, text.encode("utf-16"), headers=said)
    yield Invalid("too large", path, valid + b" " * 1_000_000, status=413)


def _required(endpoint: Endpoint) -> set[str]:
    """Fields that cannot be left out; the model is in the address, or it is one of them."""
    fields = endpoint.shape.model_fields
    return {name for name in fields if fields[name].is_required() or name == "model"}


def _enumerated(endpoint: Endpoint) -> list[str]:
    """Places of texts that are one of a few."""
    schema = schema_patterns(endpoint.shape.model_json_schema())
    return [name for name, values in schema.items() if any(isinstance(value, str) for value in values)]


def schema_patterns(schema: dict[str, Any]) -> dict[str, list[Any]]:
    """Every place that a body model has, and the values that are listed for it."""
    found: dict[str, list[Any]] = {}

    def look(part: dict[str, Any], name: str) -> None:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
        found.setdefault(name, []).extend(part.get("enum", [part["const"]] if "const" in part else []))
        for choice in (*part.get("anyOf", ()), *part.get("oneOf", ())):
            look(choice, name)
        for key, member in part.get("properties", {}).items():
            look(member, f"{name}.{key}".removeprefix("."))
        if part.get("items") and name.rsplit(".", 1)[-1] not in FREE:
            look(part["items"], f"{name}[]")

    look(schema, "")
    return found


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        if member is not None:
            yield (*path, key)
        if key not in FREE:
            yield from _places(member, (*path, key))


def _at(body: Any, path: Path) -> Any:
    for key in path:
        body = body[key]
    return body


def _put(body: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    spoilt: dict[str, Any] = _copy(body)
    _at(spoilt, path[:-1])[path[-1]] = value
    return spoilt


def _rename(body: dict[str, Any], path: Path) -> dict[str, Any]:
    spoilt: dict[str, Any] = _copy(body)
    parent = _at(spoilt, path[:-1])
    members = {f"{key}x" if key == path[-1] else key: value for key, value in parent.items()}
    parent.clear()
    parent.update(members)
    return spoilt


def _copy(body: dict[str, Any]) -> Any:
    """With no object that is in two places, as the tables have them."""
    return json.loads(json.dumps(body))
