"""All requests, each by its dialect and name, as they are sent to both servers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.parity import chats, completions, differing, refusals
from tests.parity.chats import Fields

MODEL = "smollm2-135m"
MODELS = {
    MODEL: {"max_tokens": 64, "engine_args": {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}}
}
"""What these requests need, over the catalogue: short answers, and tools."""

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"
LIST = "/v1/models"


@dataclass(frozen=True)
class Request:
    """One request. `kind` and `name` are for people; without a body it is a GET."""

    kind: str
    name: str
    path: str
    body: bytes | None = None
    streamed: bool = False

    @property
    def title(self) -> str:
        return f"{self.kind}: {self.name}"


def requests() -> list[Request]:
    """In an order that is always the same: what an engine has cached is the same, then, for both servers."""
    return [
        Request("models", "list", LIST),
        Request("models", "one", f"{LIST}/{MODEL}"),
        Request("models", "one that is none", f"{LIST}/gpt-4o"),
        *_both("chat", CHAT, chats.BASE, chats.CHATS),
        *_wholes("chat", CHAT, chats.BASE, chats.WHOLE),
        *_streams("chat", CHAT, chats.BASE, chats.STREAMED),
        *_both("chat, differs", CHAT, chats.BASE, differing.CHATS),
        *_wholes("chat, differs", CHAT, chats.BASE, differing.WHOLE),
        *_both("chat, refused", CHAT, chats.BASE, refusals.CHATS),
        *_wholes("chat, refused", CHAT, chats.BASE, refusals.WHOLE),
        *(Request("body, refused", name, CHAT, body) for name, body in refusals.BODIES.items()),
        *_both("completion", COMPLETION, completions.BASE, completions.COMPLETIONS),
        *_streams("completion", COMPLETION, completions.BASE, completions.STREAMED),
        *_both("completion, refused", COMPLETION, completions.BASE, refusals.COMPLETIONS),
    ]


Requests = Iterator[Request]


def _both(kind: str, path: str, base: Fields, table: dict[str, Fields]) -> Requests:
    yield from _wholes(kind, path, base, table)
    yield from _streams(kind, path, base, table)


def _wholes(kind: str, path: str, base: Fields, table: dict[str, Fields]) -> Requests:
    for name, fields in table.items():
        yield Request(kind, name, path, _body(base, fields))


def _streams(kind: str, path: str, base: Fields, table: dict[str, Fields]) -> Requests:
    for name, fields in table.items():
        yield Request(kind, name, path, _body(base, fields | {"stream": True}), streamed=True)


def _body(base: Fields, fields: Fields) -> bytes:
    """A field of the base that is None here is left out; others are null."""
    left_out = {name for name, value in fields.items() if value is None and name in base}
    body: dict[str, Any] = {"model": MODEL} | base | fields
    return json.dumps({name: value for name, value in body.items() if name not in left_out}).encode()
