"""Anthropic's dialect: requests become OpenAI's, and OpenAI's chunks become messages and their events."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter
from pydantic_core import from_json

from gateway.api.messages import error_body
from gateway.blocks import Telling, message
from gateway.bodies import messages_body
from gateway.bodies.messages import MessagesRequest
from gateway.openapi.failures import error_examples
from shared.catalog import Model
from shared.errors import InvalidRequest
from shared.messages import Chunk, End, Failure, Usage
from tests.chats import CHAT
from tests.factories import make_model

PLAIN = make_model(context=100, max_tokens=50)
TURN = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "hi"}
TOOL = {"name": "weather", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
USE = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": ""}
IMAGE = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/cat.png"}}


def body(model: Model = CHAT, **fields: Any) -> dict[str, Any]:
    return messages_body(model, {"model": "any", "max_tokens": 9, "messages": [TURN]} | fields)


# ---- the request


@pytest.mark.parametrize(
    ("fields", "becomes"),
    [
        ({}, {}),
        ({"temperature": 1, "top_p": 0.5, "top_k": 0}, {"temperature": 1.0, "top_p": 0.5, "top_k": 0}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stream": True}, {"stream": True}),
        ({"system": None, "tools": None, "stream": False}, {"stream": False}),
        ({"metadata": {"user_id": "ann"}, "service_tier": "auto", "cache_control": {"type": "ephemeral"}}, {}),
        ({"tools": [TOOL]}, {"tools": [FUNCTION]}),
        ({"tools": []}, {}),
        ({"tools": [TOOL | {"type": "custom", "cache_control": {"type": "ephemeral"}}]}, {"tools": [FUNCTION]}),
        ({"tools": [TOOL], "tool_choice": {"type": "auto"}}, {"tools": [FUNCTION], "tool_choice": "auto"}),
        ({"tools": [TOOL], "tool_choice": {"type": "none"}}, {"tools": [FUNCTION], "tool_choice": "none"}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather"}},
            {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        ({"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, {"thinking_token_budget": 5}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, {}),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, {"include_reasoning": False}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 5, "display": "omitted"}},
            {"thinking_token_budget": 5, "include_reasoning": False},
        ),
    ],
)
def test_fields_become_openais(fields: dict[str, Any], becomes: dict[str, Any]) -> None:
    assert body(**fields) == {"model": "m", "max_tokens": 9, "messages": [TURN]} | becomes


@pytest.mark.parametrize("thinking", [{"type": "disabled"}, {"type": "adaptive", "display": "omitted"}])
def test_a_model_that_does_not_think_need_not_be_told_so(thinking: dict[str, Any]) -> None:
    assert body(PLAIN, thinking=thinking) == body(PLAIN)


@pytest.mark.parametrize(
    ("system", "messages", "becomes"),
    [
        ("Be brief.", [TURN], [{"role": "system", "content": "Be brief."}, TURN]),
        ([TEXT | {"cache_control": {}}], [TURN], [{"role": "system", "content": [TEXT]}, TURN]),
        ("", [TURN], [TURN]),
        (
            None,
            [{"role": "user", "content": [TEXT, TEXT | {"citations": None}]}],
            [TURN | {"content": [TEXT, TEXT]}],
        ),
        (
            None,
            [
                TURN,
                {"role": "assistant", "content": [THOUGHT, TEXT, USE]},
                {"role": "user", "content": [RESULT, RESULT | {"content": [TEXT], "is_error": True}, TEXT]},
            ],
            [
                TURN,
                {"role": "assistant", "content": [TEXT], "tool_calls": [CALL], "reasoning": "hm"},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                {"role": "tool", "tool_call_id": "call_1", "content": [TEXT]},
                {"role": "user", "content": [TEXT]},
            ],
        ),
        (
            None,
            [
                TURN,
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1"}]},
                {"role": "user", "content": [RESULT | {"content": None}]},
            ],
            [
                TURN,
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": ""},
                {"role": "tool", "tool_call_id": "call_1", "content": ""},
            ],
        ),
    ],
)
def test_messages_become_openais(system: Any, messages: list[Any], becomes: list[Any]) -> None:
    assert body(system=system, messages=messages)["messages"] == becomes


@pytest.mark.parametrize(
    ("last", "goes_on"),
    [("The answer is", True), ([TEXT], True), ([TEXT, USE], False), ([THOUGHT], False), ("", False)],
)
def test_a_last_message_of_the_models_is_gone_on_with(last: Any, goes_on: bool) -> None:
    request = body(messages=[TURN, {"role": "assistant", "content": last}])
    assert request.get("continue_final_message", False) is goes_on
    assert request.get("add_generation_prompt", True) is not goes_on


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"max_tokens": None}, "max_tokens", "required"),
        ({"max_tokens": 0}, "max_tokens", "integer from 1"),
        ({"max_tokens": 5000}, "max_tokens", "at most 4096"),
        ({"temperature": 1.5}, "temperature", "from 0 to 1, got 1.5"),
        ({"top_k": -1}, "top_k", "integer from 0"),
        ({"stop_sequences": list("abcde")}, "stop_sequences", "at most 4"),
        ({"stop": ["a"]}, "stop", "`stop_sequences`"),
        ({"max_token": 3}, "max_token", "did you mean 'max_tokens'?"),
        ({"mcp_servers": []}, "mcp_servers", "`tools`"),
        ({"messages": []}, "messages", "should not be empty"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role", "'user' or 'assistant'"),
        ({"messages": [TURN | {"content": 3}]}, "messages[0].content", "a text, or a list of blocks"),
        ({"messages": [TURN | {"content": []}]}, "messages[0].content", "should not be empty"),
        ({"messages": [TURN | {"content": [TEXT, IMAGE]}]}, "messages[0].content[1].type", 'got "image"'),
        ({"messages": [TURN | {"content": [{"text": "x"}]}]}, "messages[0].content[0].type", "required"),
        ({"messages": [TURN | {"content": [USE]}]}, "messages[0]", "no blocks of type 'tool_use'"),
        ({"messages": [TURN, {"role": "assistant", "content": [RESULT]}]}, "messages[1]", "'tool_result'"),
        (
            {"messages": [TURN | {"content": [RESULT | {"content": [IMAGE]}]}]},
            "messages[0].content[0].content[0].type",
            "should be 'text'",
        ),
        ({"system": [IMAGE]}, "system[0].type", "should be 'text'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type", "servers' tools"),
        ({"tools": [{"name": "now"}]}, "tools[0].input_schema", "required"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "needs `tools`"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "now"}}, "tool_choice.name", "one of `tools`"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name", "one of `tools`"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", "required"),
        ({"thinking": {"type": "off"}}, "thinking.type", "'disabled'"),
        ({"thinking": {"type": "adaptive", "display": "full"}}, "thinking.display", "'summarized' or 'omitted'"),
    ],
)
def test_a_refusal_names_anthropics_field_and_the_fix(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        body(**fields)
    assert error.value.param == param
    assert str(error.value).startswith(param)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"tools": [TOOL]}, "tools"), ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking")],
)
def test_what_a_model_cannot_do_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        body(PLAIN, **fields)
    assert error.value.param == param


# ---- the page

PAGE = (Path(__file__).parents[3] / "docs" / "anthropic.md").read_text()


@pytest.mark.parametrize("name", [*MessagesRequest.model_fields, *(MessagesRequest.refused.keys() - {"stop"})])
def test_the_page_tells_of_each_field(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_page_tells_the_type_of_each_error() -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    told = {int(status): kind for statuses, kind in rows for status in statuses.split(", ")}
    tree = {
        example["value"]["error"]["type"] for example in error_examples().values() if "type" in example["value"]
    }
    assert set(told.values()) == tree
    for status, kind in told.items():
        failure = Failure(status=status, code="x", message="x")
        assert error_body(failure)["error"]["type"] == kind


# ---- the answer

USAGE = Usage(prompt_tokens=3, completion_tokens=2)
COUNTED = {"input_tokens": 3, "output_tokens": 2}
UNCOUNTED = {"input_tokens": 0, "output_tokens": 0}
EMPTY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": UNCOUNTED,
}
END = Chunk(1, [], end=End(state="succeeded", usage=USAGE))
ENDS: list[tuple[dict[str, Any], bool, tuple[str, str | None]]] = [
    ({"finish_reason": "stop", "stop_reason": None}, False, ("end_turn", None)),
    ({"finish_reason": "stop", "stop_reason": 2}, False, ("end_turn", None)),
    ({"finish_reason": "stop", "stop_reason": "\n"}, False, ("stop_sequence", "\n")),
    ({"finish_reason": "length"}, False, ("max_tokens", None)),
    ({"finish_reason": "tool_calls"}, True, ("tool_use", None)),
    ({"finish_reason": "stop"}, True, ("tool_use", None)),  # of a tool that the request named
    ({"finish_reason": "length"}, True, ("max_tokens", None)),
    ({"finish_reason": "tool_calls", "stop_reason": "}"}, True, ("stop_sequence", "}")),
]
"""How a choice ends, whether it called a tool, and what that is called."""


def said(finish: dict[str, Any] | None = None, **delta: Any) -> Chunk:
    choice = {"index": 0, "delta": delta, "finish_reason": None} | (finish or {})
    return Chunk(1, [], msgspec.Raw(json.dumps({"choices": [choice]}).encode()))


def called(index: int, arguments: str, **more: Any) -> Chunk:
    name = more.pop("name", None)
    return said(tool_calls=[{"index": index, "function": {"name": name, "arguments": arguments}} | more])


def told(*some: Sequence[Chunk]) -> list[dict[str, Any]]:
    telling = Telling("job_1", "m")
    events = [event for chunks in some for event in telling.events(list(chunks))]
    for event in events:
        if event["type"] != "ping":
            EVENT.validate_python(event, strict=True)
    return events


EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def started(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind} | fields}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, sequence: str | None = None) -> list[dict[str, Any]]:
    end = {"stop_reason": reason, "stop_sequence": sequence}
    return [{"type": "message_delta", "delta": end, "usage": COUNTED}, {"type": "message_stop"}]


START = {"type": "message_start", "message": EMPTY}
PING = {"type": "ping"}


def test_a_text_is_told_in_one_block() -> None:
    chunks = [said(role="assistant", content=""), said(content="a"), said(content="é")]
    stop = said({"finish_reason": "stop", "stop_reason": None}, content="")
    assert told(chunks, [stop, END]) == [
        START,
        started(0, {"type": "text", "text": ""}),
        PING,
        delta(0, "text_delta", text="a"),
        delta(0, "text_delta", text="é"),
        stopped(0),
        *ended("end_turn"),
    ]


def test_thoughts_text_and_calls_are_blocks_one_after_the_other() -> None:
    chunks = [
        said(reasoning="hm"),
        said(content="Look: "),
        called(0, "", id="a", name="weather"),
        called(0, '{"city":'),
        called(0, '"Rome"}'),
        called(1, "{}", id="b", name="now"),
        said({"finish_reason": "tool_calls"}),
        Chunk(1, [], msgspec.Raw(b'{"choices":[],"usage":{"prompt_tokens":3}}')),
        END,
    ]
    assert told(chunks) == [
        START,
        started(0, {"type": "thinking", "thinking": "", "signature": ""}),
        PING,
        delta(0, "thinking_delta", thinking="hm"),
        stopped(0),
        started(1, {"type": "text", "text": ""}),
        delta(1, "text_delta", text="Look: "),
        stopped(1),
        started(2, {"type": "tool_use", "id": "a", "name": "weather", "input": {}}),
        delta(2, "input_json_delta", partial_json='{"city":'),
        delta(2, "input_json_delta", partial_json='"Rome"}'),
        stopped(2),
        started(3, {"type": "tool_use", "id": "b", "name": "now", "input": {}}),
        delta(3, "input_json_delta", partial_json="{}"),
        stopped(3),
        *ended("tool_use"),
    ]


@pytest.mark.parametrize(
    ("arguments", "object_"),
    [
        ('"Paris"', {"value": "Paris"}),
        ("[1, 2]", {"value": [1, 2]}),
        ("5", {"value": 5}),
        ("null", {"value": None}),
        (' {"city": "Rome"}', {"city": "Rome"}),
        ("", {}),
        (" ", {}),
        ('"Par', {}),  # the answer ended here
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_a_tools_input_is_an_object_and_the_same_both_ways(arguments: str, object_: Any, size: int) -> None:
    parts = [arguments[start : start + size] for start in range(0, len(arguments), size)]
    events = told([*(called(0, part, id="a", name="now") for part in parts or [""]), said({}), END])
    streamed = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    # As Anthropic's client reads it, after each part.
    read = [from_json("".join(streamed[: n + 1]), allow_partial=True) for n in range(len(streamed))]
    assert all(isinstance(value, dict) for value in read)
    assert (read or [{}])[-1] == object_
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": arguments}}
    assert whole({"finish_reason": "tool_calls"}, tool_calls=[call])["content"][0]["input"] == object_


def test_an_answer_without_a_word_has_no_blocks() -> None:
    assert told([said({"finish_reason": "stop"}), END]) == [START, *ended("end_turn")]


@pytest.mark.parametrize(("finish", "calls", "becomes"), ENDS)
def test_a_stream_says_why_it_ends(finish: dict[str, Any], calls: bool, becomes: tuple[str, str | None]) -> None:
    chunks = [called(0, "{}", id="a", name="now")] if calls else [said(content="x")]
    assert told([*chunks, said(finish), END])[-2:] == ended(*becomes)


@pytest.mark.parametrize(("finish", "calls", "becomes"), ENDS)
def test_a_whole_message_says_why_it_ends(
    finish: dict[str, Any], calls: bool, becomes: tuple[str, str | None]
) -> None:
    answer = whole(finish, content="x", tool_calls=[CALL] if calls else [])
    assert (answer["stop_reason"], answer["stop_sequence"]) == becomes


def whole(finish: dict[str, Any], **message_fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant"} | message_fields} | finish
    answer = message("job_1", "m", json.dumps({"choices": [choice]}).encode(), USAGE)
    Message.model_validate(answer, strict=True)
    return answer


def test_a_whole_answer_has_all_its_blocks() -> None:
    broken = {"id": "b", "type": "function", "function": {"name": "now", "arguments": '{"ci'}}
    answer = whole({"finish_reason": "tool_calls"}, reasoning="hm", content="hi", tool_calls=[CALL, broken])
    blocks = [THOUGHT, TEXT, USE, {"type": "tool_use", "id": "b", "name": "now", "input": {}}]
    assert answer == EMPTY | {"content": blocks, "stop_reason": "tool_use", "usage": COUNTED}


def test_an_answer_can_be_sent_back_as_it_is() -> None:
    content = whole({"finish_reason": "tool_calls"}, reasoning="hm", content="hi", tool_calls=[CALL])["content"]
    messages = [TURN, {"role": "assistant", "content": content}, {"role": "user", "content": [RESULT]}]
    assert body(messages=messages)["messages"][1] == {
        "role": "assistant",
        "content": [TEXT],
        "tool_calls": [CALL],
        "reasoning": "hm",
    }
