"""What clients may send, and how it becomes an OpenAI-shaped body. Hop 1, for all dialects."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.catalog import Model
from shared.errors import InvalidRequest

Shape = TypeVar("Shape", bound=BaseModel)

MOST_ANSWERS = 8
"""Of one chat request, its `n`: each takes a place in the engine's batch."""

MOST_INTEGER = 2**63 - 1


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(BaseModel):
    """How to choose tokens: OpenAI's names and ranges; what is left out is the model's own default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: str | list[str] | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)


class SeedChat(Sampling):
    """Body of POST /v1/free/{model} for a chat model."""

    messages: list[Message] = Field(min_length=1)


class SocketChat(Sampling):
    """A Socket.IO `prompt` for a chat model."""

    context: list[Message] = Field(min_length=1)


class Image(BaseModel):
    """Body of POST /v1/free/{model}, or a Socket.IO `prompt`, for an image model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = Field(min_length=1, max_length=4000)
    negative_prompt: str | None = Field(None, max_length=4000)
    size: str | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    steps: int | None = Field(None, ge=1)
    guidance_scale: float | None = Field(None, ge=0)


def parse_json(data: str | bytes) -> dict[str, Any]:
    """A JSON object from a client. Raises InvalidRequest for anything else."""
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


def seed_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """The seed's JSON dialect → an OpenAI-shaped body, always streamed inside."""
    return _image(data) if model.kind == "image" else _chat(model, _check(SeedChat, data).model_dump(), "messages")


def socket_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """The seed's Socket.IO dialect, less `model` and `token` → an OpenAI-shaped body."""
    return (
        _image(data) if model.kind == "image" else _chat(model, _check(SocketChat, data).model_dump(), "context")
    )


def openai_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """A chat completion request as OpenAI has it; the engine's own serving layer checks the rest."""
    if model.kind != "chat":
        raise InvalidRequest(f"model: '{model.id}' makes images, it does not chat", param="model")
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages: should be a list with at least one message", param="messages")
    if not isinstance(data.get("stream", False), bool):
        raise InvalidRequest("stream: should be true or false", param="stream")
    _check_cost(data)
    limits = (data.get("max_tokens"), data.get("max_completion_tokens"))
    defaults = {"max_tokens": model.max_tokens} if limits == (None, None) else {}
    return data | defaults | {"model": model.id}


def _check_cost(data: dict[str, Any]) -> None:
    """Refuse what would make one request hold up the whole engine."""
    n = data.get("n")
    if n is not None and (type(n) is not int or not 1 <= n <= MOST_ANSWERS):
        raise InvalidRequest(f"n: should be an integer from 1 to {MOST_ANSWERS}, got {str(n)[:80]!r}", param="n")
    if data.get("use_beam_search"):
        raise InvalidRequest("use_beam_search: is not offered; leave it out", param="use_beam_search")


def _check_integers(text: str | bytes, value: Any) -> None:
    """Refuse integers of more than 64 bits, which the engines' own messages cannot carry."""
    # Looking for their digits first is a hundred times faster than looking at every value.
    if not re.search(rb"[0-9]{19}", text if isinstance(text, bytes) else text.encode()):
        return
    # No recursion: a body may be nested deeper than our stack.
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        param, value = waiting.pop()
        if isinstance(value, int) and not -MOST_INTEGER - 1 <= value <= MOST_INTEGER:
            takes = f"an integer from {-MOST_INTEGER - 1} to {MOST_INTEGER}"
            raise InvalidRequest(f"{param}: should be {takes}, got {str(value)[:30]}", param=param)
        waiting += _members(param, value)


def _members(param: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f"{param}.{key}".lstrip(".")[:80], member) for key, member in value.items())
    if isinstance(value, list):
        return ((f"{param}[{place}]"[:80], member) for place, member in enumerate(value))
    return ()


def _chat(model: Model, fields: dict[str, Any], conversation: str) -> dict[str, Any]:
    messages = fields.pop(conversation)
    given = {name: value for name, value in fields.items() if value is not None}
    return {"model": model.id, "messages": messages, "max_tokens": model.max_tokens} | given | {"stream": True}


def _image(data: dict[str, Any]) -> dict[str, Any]:
    fields = _check(Image, data).model_dump()
    return {name: value for name, value in fields.items() if value is not None}


def _check(shape: type[Shape], data: dict[str, Any]) -> Shape:
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise _complaint(shape, error.errors()[0]) from None


def _complaint(shape: type[BaseModel], error: Any) -> InvalidRequest:
    """The first thing wrong with a body: where, what, and what it should be."""
    # A union's members are not part of the client's view of the field.
    loc = [part for part in error["loc"] if part not in ("str", "list[str]")]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), shape.model_fields, 1) if len(loc) == 1 else []
        hint = f": did you mean '{near[0]}'?" if near else f"; known fields: {', '.join(shape.model_fields)}"
        return InvalidRequest(f"{param[:80]}: unknown field{hint}", param=param[:80])
    if error["type"] == "missing":
        return InvalidRequest(f"{param}: this field is required", param=param)
    got = "" if isinstance(error["input"], dict | list) else f", got {str(error['input'])[:80]!r}"
    return InvalidRequest(f"{param}: {error['msg'].lower()}{got}", param=param)


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
