"""Each dialect's body → the one OpenAI-shaped body that travels inside."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.bodies import chat, completion
from gateway.bodies.agreement import chat_agrees, check_length, completion_agrees
from gateway.bodies.images import image_body
from gateway.bodies.sampling import Sampling
from gateway.bodies.shapes import Shape, fit, refusal
from shared.catalog import Model


class Turn(Shape):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Turns = Annotated[list[Turn], Field(min_length=1, fail_fast=True)]


class SeedChat(Sampling):
    """Body of POST /v1/free/{model} for a chat model."""

    messages: Turns


class SocketChat(Sampling):
    """A Socket.IO `prompt` for a chat model."""

    context: Turns


def seed_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """The seed's JSON dialect → an OpenAI-shaped body, always streamed inside."""
    return image_body(model, data) if model.kind == "image" else _chat(model, SeedChat, data, "messages")


def socket_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """The seed's Socket.IO dialect, less `model` and `token` → an OpenAI-shaped body."""
    return image_body(model, data) if model.kind == "image" else _chat(model, SocketChat, data, "context")


def openai_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """A chat completion request as OpenAI has it. Raises InvalidRequest for what no engine should see."""
    if model.kind != "chat":
        raise refusal("model", f"'{model.id}' makes images, it does not chat")
    request = fit(chat.ChatRequest, data)
    chat_agrees(model, request)
    body = request.plain(but=chat.WITHOUT_EFFECT)
    if request.max_completion_tokens is None:
        body = _longest(model) | body
    if request.continue_final_message:
        # vLLM would otherwise open the next message, and refuse to do both.
        body["add_generation_prompt"] = False
    return body | {"model": model.id}


def completion_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """A completion request as OpenAI has it. Raises InvalidRequest for what no engine should see."""
    if model.kind != "chat":
        raise refusal("model", f"'{model.id}' makes images, it does not write")
    request = fit(completion.CompletionRequest, data)
    completion_agrees(model, request)
    body = request.plain(but=completion.WITHOUT_EFFECT)
    return {"max_tokens": completion.usual_length(model)} | body | {"model": model.id}


def _chat(model: Model, shape: type[Sampling], data: dict[str, Any], conversation: str) -> dict[str, Any]:
    request = fit(shape, data)
    check_length(model, "max_tokens", request.max_tokens)
    given = request.plain()
    messages = given.pop(conversation)
    return {"model": model.id, "messages": messages} | _longest(model) | given | {"stream": True}


def _longest(model: Model) -> dict[str, int]:
    """The longest answer to a request that does not say. A simulated entry may have none: its engine knows one."""
    return {"max_tokens": model.max_tokens} if model.max_tokens else {}
