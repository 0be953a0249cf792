"""What a server replies, and its form for comparison: without what is another at each request."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import httpx

from tests.parity.requests import LIST, MODEL, Request

PATIENCE = 120.0  # seconds for one answer
DONE = "[DONE]"

DRAWN_ID = re.compile(r"(chatcmpl-tool|chatcmpl|cmpl)-.+")


@dataclass(frozen=True)
class Server:
    """Where one is, and the headers that open it."""

    name: str
    url: str
    headers: dict[str, str]

    def ask(self, client: httpx.Client, request: Request) -> dict[str, Any]:
        """The reply, as a JSON value: `status`, `type`, and `body` or `events`."""
        headers = self.headers | ({} if request.body is None else {"Content-Type": "application/json"})
        method, url = "GET" if request.body is None else "POST", self.url + request.path
        response = client.request(method, url, content=request.body, headers=headers, timeout=PATIENCE)
        kind = response.headers.get("Content-Type", "")
        reply: dict[str, Any] = {"status": response.status_code, "type": kind}
        if kind.startswith("text/event-stream"):
            return reply | {"events": _by_answer(_neutral(list(events(response.text))))}
        body = response.json()
        if request.path == LIST:
            # Ours has all models of the catalogue.
            body["data"] = [entry for entry in body["data"] if entry["id"] == MODEL]
        return reply | {"body": _neutral(body)}


def events(text: str) -> Iterator[Any]:
    """The data of each server-sent event; comments, which keep proxies from giving up, are none.

    Raises ValueError for what is no event of one line.
    """
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not any(lines):
            continue
        (line,) = lines
        if not line.startswith("data: "):
            raise ValueError(f"no event: {line!r}")
        data = line.removeprefix("data: ")
        yield data if data == DONE else json.loads(data)


def _neutral(reply: Any) -> Any:
    """With ids numbered as they appear, so that the same stays the same, and with times as types."""
    ids: dict[str, str] = {}

    def numbered(value: Any) -> Any:
        drawn = DRAWN_ID.fullmatch(value) if isinstance(value, str) else None
        return ids.setdefault(value, f"{drawn[1]}-{len(ids) + 1}") if drawn else value

    return _changed(reply, {"id": numbered, "created": lambda value: type(value).__name__})


def _changed(value: Any, changes: dict[str, Callable[[Any], Any]]) -> Any:
    """The same, with the members of these names changed, at any depth."""
    if isinstance(value, list):
        return [_changed(member, changes) for member in value]
    if isinstance(value, dict):
        return {
            name: changes[name](member) if name in changes else _changed(member, changes)
            for name, member in value.items()
        }
    return value


def _by_answer(events: list[Any]) -> list[Any]:
    """Of several answers (`n`) one after the other: which of them the engine has first in a step is chance."""
    runs = groupby(events, _is_of_one)
    return [event for of_one, run in runs for event in (sorted(run, key=_answer) if of_one else run)]


def _is_of_one(event: Any) -> bool:
    """Whether an event adds to one answer, and to no other."""
    return isinstance(event, dict) and len(event.get("choices", [])) == 1


def _answer(event: Any) -> int:
    return int(event["choices"][0]["index"])
