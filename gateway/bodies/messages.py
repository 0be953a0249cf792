"""POST /v1/messages: Anthropic's request, and how it becomes an OpenAI-shaped body.

Taken, and dropped, because nothing depends on them here: cache_control, citations, metadata, service_tier, and a
thought's signature; a result's is_error, too, for which OpenAI has no word: the result's text has to say it.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from pydantic import AfterValidator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from gateway.bodies.dialects import openai_body
from gateway.bodies.sampling import MOST_STOPS, MOST_TOKENS, StopText
from gateway.bodies.schemas import JsonSchema
from gateway.bodies.shapes import Body, Name, Shape, by_member, by_type, fit, present, refusal
from shared.catalog import Model


class Cached(Shape):
    cache_control: dict[str, Any] | None = None


class Text(Cached):
    type: Literal["text"]
    text: str
    citations: list[Any] | None = None


TEXT_OR_BLOCKS = by_type(
    {str: "|text", list: "|blocks"}, "text_or_blocks", "should be a text, or a list of blocks"
)
Texts = Annotated[Annotated[str, Tag("|text")] | Annotated[list[Text], Tag("|blocks")], TEXT_OR_BLOCKS]


class Thought(Shape):
    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


class Use(Cached):
    """A call of a tool, as the model made it."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class Result(Cached):
    """What a tool gave."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: Texts | None = None
    is_error: bool | None = None


BLOCKS = {"text": "|text", "thinking": "|thought", "tool_use": "|use", "tool_result": "|result"}
READ = f"should be {', '.join(map(repr, BLOCKS))}: images, documents and what servers' tools gave are not read"
Block = Annotated[
    Annotated[Text, Tag("|text")]
    | Annotated[Thought, Tag("|thought")]
    | Annotated[Use, Tag("|use")]
    | Annotated[Result, Tag("|result")],
    by_member("type", BLOCKS, "|text", READ),
]
Blocks = Annotated[list[Block], Field(min_length=1, fail_fast=True)]


class Message(Shape):
    role: Literal["user", "assistant"]
    content: Annotated[Annotated[str, Tag("|text")] | Annotated[Blocks, Tag("|blocks")], TEXT_OR_BLOCKS]

    @model_validator(mode="after")
    def _says_what_its_role_may(self) -> Self:
        others = Result if self.role == "assistant" else (Thought, Use)
        if stray := next((block for block in self.blocks if isinstance(block, others)), None):
            raise PydanticCustomError(
                "stray", f"a message of role '{self.role}' has no blocks of type '{stray.type}'"
            )
        return self

    @property
    def blocks(self) -> list[Text | Thought | Use | Result]:
        return [Text(type="text", text=self.content)] if isinstance(self.content, str) else self.content


def _clients(kind: str) -> str:
    if kind != "custom":
        raise PydanticCustomError(
            "servers_tool", "should be 'custom', or left out: servers' tools are not offered"
        )
    return kind


class Tool(Cached):
    """A tool that the client runs; `input_schema` is a JSON schema."""

    type: Annotated[str, AfterValidator(_clients), Field(json_schema_extra={"const": "custom"})] | None = None
    name: Name
    description: str | None = None
    input_schema: JsonSchema
    strict: bool | None = None


class Choice(Shape):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Shape):
    type: Literal["disabled", "enabled", "adaptive"]
    budget_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    display: Literal["summarized", "omitted"] | None = None


class MessagesRequest(Body):
    """A request of Anthropic's Messages API. Counts are in tokens."""

    refused: ClassVar = {
        "container": "is not offered; leave it out",
        "context_management": "is not offered; leave it out",
        "mcp_servers": "is not offered: clients run the tools; send `tools`",
        "output_config": "is not offered; leave it out",
        "stop": "is not a field of messages; send `stop_sequences`",
    }

    model: str
    max_tokens: int = Field(ge=1, le=MOST_TOKENS)
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    system: Texts | None = None
    stop_sequences: Annotated[list[StopText], Field(max_length=MOST_STOPS, fail_fast=True)] | None = None
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=MOST_TOKENS)
    stream: bool | None = None
    tools: Annotated[list[Tool], Field(max_length=128, fail_fast=True)] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    cache_control: dict[str, Any] | None = None


def messages_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's dialect → an OpenAI-shaped body.

    Raises InvalidRequest: its `param` is a field of Anthropic's; the fix may have a value in OpenAI's words, such
    as a `tool_choice` of "none".
    """
    request = fit(MessagesRequest, data)
    system = [{"role": "system", "content": _content(request.system)}] if request.system else []
    messages = [*system, *(turn for message in request.messages for turn in _turns(message))]
    body = {
        "messages": messages,
        "stop": request.stop_sequences,
        # Anthropic's models go on with a last message of their own.
        "continue_final_message": _is_begun(messages[-1]) or None,
        **request.model_dump(include={"max_tokens", "temperature", "top_p", "top_k", "stream"}),
        **_tools(request),
        **_thinking(model, request),
    }
    return openai_body(model, body)


def _turns(message: Message) -> Iterator[dict[str, Any]]:
    """OpenAI has results in messages of their own, which follow the calls at once."""
    blocks = message.blocks
    for block in blocks:
        if isinstance(block, Result):
            yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": _content(block.content or "")}
    texts = [block for block in blocks if isinstance(block, Text)]
    said = message.content if isinstance(message.content, str) else _content(texts)
    if message.role == "assistant":
        calls = [_call(block) for block in blocks if isinstance(block, Use)] or None
        thoughts = "".join(block.thinking for block in blocks if isinstance(block, Thought))
        yield {"role": "assistant", "content": said, "tool_calls": calls, "reasoning": thoughts or None}
    elif texts:
        yield {"role": "user", "content": said}


def _content(said: str | list[Text]) -> str | list[dict[str, str]]:
    return said if isinstance(said, str) else [{"type": "text", "text": block.text} for block in said] or ""


def _call(use: Use) -> dict[str, Any]:
    function = {"name": use.name, "arguments": msgspec.json.encode(use.input).decode()}
    return {"id": use.id, "type": "function", "function": function}


def _is_begun(turn: dict[str, Any]) -> bool:
    return turn["role"] == "assistant" and bool(turn["content"]) and not turn["tool_calls"]


def _tools(request: MessagesRequest) -> dict[str, Any]:
    functions = [
        present({"name": t.name, "description": t.description, "parameters": t.input_schema, "strict": t.strict})
        for t in request.tools or ()
    ]
    tools = [{"type": "function", "function": function} for function in functions] or None
    choice = request.tool_choice
    if choice is None:
        return {"tools": tools}
    named = {"type": "function", "function": {"name": choice.name}}
    if choice.type == "tool" and all(choice.name != function["name"] for function in functions):
        raise refusal("tool_choice.name", "should be the name of one of `tools`")
    chosen = {"auto": "auto", "any": "required", "tool": named, "none": "none"}[choice.type]
    parallel = False if choice.disable_parallel_tool_use else None
    return {"tools": tools, "tool_choice": chosen, "parallel_tool_calls": parallel}


def _thinking(model: Model, request: MessagesRequest) -> dict[str, Any]:
    """What is neither disabled nor given a budget is up to the model. What is omitted is thought all the same."""
    asked = request.thinking
    if asked is None or (asked.type != "enabled" and not model.thinks):
        return {}
    if not model.thinks:
        raise refusal("thinking", f"'{model.id}' does not think before it answers; leave it out")
    if asked.type == "disabled":
        return {"reasoning_effort": "none"}
    shown = {"include_reasoning": False} if asked.display == "omitted" else {}
    if asked.type == "adaptive":
        return shown
    if asked.budget_tokens is None:
        raise refusal("thinking.budget_tokens", 'this field is required beside "type": "enabled"')
    return {"thinking_token_budget": asked.budget_tokens} | shown
