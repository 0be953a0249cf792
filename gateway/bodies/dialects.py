"""Each dialect's body → the one OpenAI-shaped body that travels inside."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.bodies import chat, completion
from gateway.bodies.agreement import chat_agrees, check_length, completion_agrees
from gateway.bodies.images import image_body
from gateway.bodies.sampling import Sampling
from gateway.bodies.shapes import Shape, fit, present, refusal
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
    given = _conversing(data, "messages")
    request = fit(chat.ChatRequest, given)
    chat_agrees(model, request)
    body = {name: value for name, value in given.items() if name not in chat.WITHOUT_EFFECT}
    if request.max_tokens is None and request.max_completion_tokens is None:
        body["max_tokens"] = model.max_tokens
    if request.continue_final_message:
        # vLLM would otherwise open the next message, and refuse to do both.
        body["add_generation_prompt"] = False
    return body | {"model": model.id}


def completion_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """A completion request as OpenAI has it. Raises InvalidRequest for what no engine should see."""
    if model.kind != "chat":
        raise refusal("model", f"'{model.id}' makes images, it does not write")
    given = present(data)
    completion_agrees(model, fit(completion.CompletionRequest, given))
    body = {name: value for name, value in given.items() if name not in completion.WITHOUT_EFFECT}
    return {"max_tokens": completion.usual_length(model)} | body | {"model": model.id}


def _chat(model: Model, shape: type[Sampling], data: dict[str, Any], conversation: str) -> dict[str, Any]:
    given = _conversing(data, conversation)
    check_length(model, "max_tokens", fit(shape, given).max_tokens)
    messages = given.pop(conversation)
    return {"model": model.id, "messages": messages, "max_tokens": model.max_tokens} | given | {"stream": True}


def _conversing(data: dict[str, Any], conversation: str) -> dict[str, Any]:
    """What is present of a chat, and of its messages."""
    given = present(data)
    messages = given.get(conversation)
    if isinstance(messages, list):
        given[conversation] = [present(each) if isinstance(each, dict) else each for each in messages]
    return given
