"""What POST /v1/chat/completions takes and refuses, before a job is made of it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bodies import openai_body, parse_json
from gateway.bodies.chat import WITHOUT_EFFECT, ChatRequest
from shared.errors import InvalidRequest
from tests.chats import BODIES, CALL, CHAT, SCHEMA, TAKEN, TEXT, TOGETHER, TOOL, TURN, check_refusal, without_nulls

PLAIN = CHAT.model_copy(update={"engine_args": {}})
NAMED = {"type": "function", "function": {"name": "weather"}}


def taken(fields: dict[str, Any], model: Any = CHAT) -> dict[str, Any]:
    """What a job gets of a request with these fields, which came as JSON."""
    return openai_body(model, parse_json(json.dumps({"model": "m", "messages": [TURN]} | fields)))


def refused(fields: dict[str, Any], model: Any = CHAT) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as error:
        taken(fields, model)
    return error.value.param, str(error.value)


@pytest.mark.parametrize("fields", BODIES, ids=str)
def test_what_is_taken_reaches_the_engine_as_it_is(fields: dict[str, Any]) -> None:
    body = taken(fields)
    for name in fields.keys() - WITHOUT_EFFECT - {"messages", "add_generation_prompt"}:
        assert body[name] == without_nulls(fields[name])


def test_every_field_has_its_examples() -> None:
    together = {name for fields in TOGETHER for name in fields}
    assert ChatRequest.model_fields.keys() == {"model"} | TAKEN.keys() | together


@pytest.mark.parametrize("name", sorted(ChatRequest.model_fields.keys() - {"model", "messages"}))
def test_null_is_as_good_as_left_out(name: str) -> None:
    assert taken({name: None}) == taken({})


def test_null_is_as_good_as_left_out_of_a_message() -> None:
    answer = {"role": "assistant", "content": "x", "audio": None, "function_call": None, "name": None}
    assert taken({"messages": [answer]})["messages"] == [{"role": "assistant", "content": "x"}]
    assert refused({"messages": None}) == ("messages", "messages: this field is required")


FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"response_format": {"type": "text", "json_schema": None}}, {"response_format": {"type": "text"}}),
        (
            {"response_format": {"type": "json_object", "json_schema": None, "zzz": None}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {"response_format": FORM | {"json_schema": FORM["json_schema"] | {"description": None, "zzz": None}}},
            {"response_format": FORM},
        ),
        ({"structured_outputs": {"regex": "a", "grammar": None}}, {"structured_outputs": {"regex": "a"}}),
        ({"stream": True, "stream_options": {"include_usage": None}}, {"stream": True, "stream_options": {}}),
        ({"tools": [TOOL | {"zzz": None}]}, {"tools": [TOOL]}),
        (
            {"messages": [TURN | {"content": [TEXT | {"image_url": None}]}]},
            {"messages": [TURN | {"content": [TEXT]}]},
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [CALL | {"index": None}]}]},
            {"messages": [{"role": "assistant", "tool_calls": [CALL]}]},
        ),
    ],
    ids=str,
)
def test_null_is_as_good_as_left_out_of_what_is_inside(fields: dict[str, Any], same: dict[str, Any]) -> None:
    assert taken(fields) == taken(same)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": None}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": None}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": None}}},
            "response_format.json_schema.schema",
        ),
        ({"tools": [{"type": "function", "function": None}]}, "tools[0].function"),
        ({"messages": [TURN | {"content": [{"type": "text", "text": None}]}]}, "messages[0].content[0].text"),
    ],
    ids=str,
)
def test_null_where_something_must_be_is_nothing(fields: dict[str, Any], param: str) -> None:
    assert refused(fields) == (param, f"{param}: this field is required")


def test_null_is_a_value_like_others_where_names_are_the_clients() -> None:
    variables = {"chat_template_kwargs": {"documents_of": None, "inner": {"a": None}}}
    assert taken(variables)["chat_template_kwargs"] == variables["chat_template_kwargs"]
    assert refused({"metadata": {"a": None}})[0] == "metadata.a"


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT))
def test_what_has_no_effect_goes_no_further(name: str) -> None:
    assert taken({name: TAKEN[name][0]}) == taken({})


def test_the_default_length_holds_for_those_who_say_none() -> None:
    assert taken({})["max_tokens"] == 50
    assert taken({"max_tokens": 7})["max_tokens"] == 7
    assert "max_tokens" not in taken({"max_completion_tokens": 3})


def test_a_message_that_is_continued_is_not_followed_by_another() -> None:
    assert taken({"continue_final_message": True})["add_generation_prompt"] is False


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [TURN, TURN | fields]}


INTEGERS_OF_1 = "should be an integer from 1 to 10000000"
BAD: list[tuple[dict[str, Any], str, str]] = [
    # messages
    ({"messages": "hi"}, "messages", 'should be a list, got "hi"'),
    ({"messages": []}, "messages", "should not be empty"),
    ({"messages": ["hi"]}, "messages[0]", 'should be an object, got "hi"'),
    ({"messages": [{"content": "hi"}]}, "messages[0].role", "this field is required"),
    (message(role="bot"), "messages[1].role", "or 'tool', got \"bot\""),
    (message(role=3), "messages[1].role", "or 'tool', got 3"),
    (message(role="function"), "messages[1].role", "should be 'system'"),
    (message(content=3), "messages[1].content", "should be a text, or a list of parts of type 'text', got 3"),
    (message(content=None), "messages[1].content", "this field is required"),
    (message(content=[]), "messages[1].content", "should not be empty"),
    (message(content=["hi"]), "messages[1].content[0]", "should be an object"),
    (message(content=[{"type": "text"}]), "messages[1].content[0].text", "this field is required"),
    (message(content=[TEXT | {"type": "html"}]), "messages[1].content[0].type", "should be 'text'"),
    (
        message(content=[{"type": "image_url", "image_url": {}}]),
        "messages[1].content[0]",
        "images, audio and files",
    ),
    (message(content=[TEXT, {"type": "input_audio"}]), "messages[1].content[1]", "images, audio and files"),
    (message(conten="hi"), "messages[1].conten", "unknown field"),
    (message(tool_calls=[CALL]), "messages[1].tool_calls", "unknown field"),
    (message(role="tool"), "messages[1].tool_call_id", "this field is required"),
    ({"messages": [{"role": "assistant"}]}, "messages[0]", "should have content or tool_calls"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [CALL | {"type": "custom"}]}]},
        "messages[0].tool_calls[0].type",
        "should be 'function'",
    ),
    # numbers and texts
    ({"max_tokens": 0}, "max_tokens", "should be an integer from 1 on, got 0"),
    ({"max_tokens": "9"}, "max_tokens", f'{INTEGERS_OF_1}, got "9"'),
    ({"max_tokens": 1.0}, "max_tokens", f"{INTEGERS_OF_1}, got 1.0"),
    ({"max_tokens": True}, "max_tokens", f"{INTEGERS_OF_1}, got true"),
    ({"max_tokens": 4097}, "max_tokens", "should be at most 4096, the context of 'm', got 4097"),
    ({"max_completion_tokens": 4097}, "max_completion_tokens", "should be at most 4096"),
    ({"temperature": "1"}, "temperature", 'should be a number from 0 to 2, got "1"'),
    ({"temperature": True}, "temperature", "should be a number from 0 to 2, got true"),
    ({"temperature": 2.1}, "temperature", "should be a number from 0 to 2, got 2.1"),
    ({"top_p": 0}, "top_p", "should be a number above 0 and up to 1, got 0"),
    ({"top_k": -2}, "top_k", "from -1"),
    ({"min_p": 1.5}, "min_p", "from 0 to 1"),
    ({"presence_penalty": 3}, "presence_penalty", "from -2 to 2"),
    ({"repetition_penalty": 0}, "repetition_penalty", "above 0"),
    ({"n": 0}, "n", "should be an integer from 1 to 8, got 0"),
    ({"n": [2]}, "n", "should be an integer from 1 to 8, got a list"),
    ({"n": 10**30}, "n", "should be an integer from 1 to 8, got 10000"),
    ({"seed": 2**63}, "seed", "should be an integer from -9223372036854775808 to 9223372036854775807"),
    ({"stop": list("abcde")}, "stop", "should have at most 4 members, got 5"),
    ({"stop": ""}, "stop", "should not be empty"),
    ({"stop": 3}, "stop", "should be a text, or a list of up to 4 texts, got 3"),
    ({"stop": ["a", 3]}, "stop[1]", "should be a text, got 3"),
    ({"stop_token_ids": [-1]}, "stop_token_ids[0]", "should be at least 0, got -1"),
    ({"stop_token_ids": [2**64]}, "stop_token_ids[0]", "should be an integer from"),
    ({"allowed_token_ids": []}, "allowed_token_ids", "should not be empty"),
    ({"logit_bias": {"hi": 1}}, "logit_bias", 'should have ids of tokens for names, such as {"50256": -100}'),
    ({"logit_bias": {"5": 101}}, "logit_bias.5", "should be at most 100"),
    ({"logit_bias": [1]}, "logit_bias", "should be an object, got a list"),
    ({"bad_words": [""]}, "bad_words[0]", "should not be empty"),
    ({"stream": "yes"}, "stream", 'should be true or false, got "yes"'),
    ({"stream": 1}, "stream", "should be true or false, got 1"),
    ({"user": 3}, "user", "should be a text, got 3"),
    ({"metadata": {"a": 3}}, "metadata.a", "should be a text, got 3"),
    ({"modalities": ["text", "audio"]}, "modalities[1]", "should be 'text', got \"audio\""),
    ({"reasoning_effort": "much"}, "reasoning_effort", "should be 'none', 'minimal'"),
    # forms and tools
    ({"response_format": "json"}, "response_format", "should be an object"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "or 'json_schema', got \"xml\""),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "this field is required"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        "response_format.json_schema.name",
        "should be 1 to 64 letters, digits, '_' and '-', got \"a b\"",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
        "response_format.json_schema.schema",
        "this field is required",
    ),
    ({"structured_outputs": {}}, "structured_outputs", "should have one of json"),
    ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs", "should have one of json"),
    ({"structured_outputs": {"structural_tag": "a"}}, "structured_outputs.structural_tag", "unknown field"),
    ({"tools": []}, "tools", "should not be empty"),
    ({"tools": [{"type": "custom"}]}, "tools[0].type", "should be 'function'"),
    ({"tools": [TOOL | {"function": {}}]}, "tools[0].function.name", "this field is required"),
    ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "should be 'none', 'auto' or 'required'"),
    ({"tools": [TOOL], "tool_choice": 3}, "tool_choice", "or an object that names a function, got 3"),
    # fields that do not agree
    ({"tool_choice": "auto"}, "tool_choice", "needs `tools`"),
    ({"tools": [TOOL], "tool_choice": NAMED | {"function": {"name": "x"}}}, "tool_choice.function.name", "one of"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "needs `stream`: true"),
    ({"top_logprobs": 3}, "top_logprobs", "needs `logprobs`: true"),
    ({"min_tokens": 51}, "min_tokens", "should be at most 50, as long as the answer, got 51"),
    ({"continue_final_message": True, "add_generation_prompt": True}, "add_generation_prompt", "should be false"),
    (
        {"structured_outputs": {"json": SCHEMA}, "response_format": {"type": "json_object"}},
        "structured_outputs",
        "not both",
    ),
    (
        {"structured_outputs": {"regex": "a"}, "tools": [TOOL], "tool_choice": NAMED},
        "structured_outputs",
        "not both",
    ),
    ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs.chat_template", "not a variable"),
    ({"chat_template_kwargs": {"a": {"b": [2**64]}}}, "chat_template_kwargs.a.b[0]", "should be an integer from"),
    # what others have, and we do not
    ({"frobnicate": 1}, "frobnicate", "unknown field; leave it out"),
    ({"max_token": 1}, "max_token", "unknown field: did you mean 'max_tokens'?"),
    ({"functions": []}, "functions", "send `tools`"),
    ({"audio": {}}, "audio", "answers are text"),
    ({"guided_json": {}}, "guided_json", "send `response_format` or `structured_outputs`"),
    ({"use_beam_search": False}, "use_beam_search", "is not offered; leave it out"),
]


@pytest.mark.parametrize(("fields", "param", "words"), BAD, ids=str)
def test_what_is_refused_names_field_and_fix(fields: dict[str, Any], param: str, words: str) -> None:
    check_refusal(refused(fields), param, words)


@pytest.mark.parametrize(
    "name",
    "kv_transfer_params ec_transfer_params vllm_xargs priority request_id session_id cache_salt chat_template "
    "truncate_prompt_tokens truncation_side mm_processor_kwargs media_io_kwargs mm_payload prompt_logprobs echo "
    "length_penalty logits_processors best_of prediction web_search_options function_call".split(),
)
@pytest.mark.parametrize("value", [1, "x", {}, [1], True])
def test_what_is_the_engines_own_business_never_reaches_it(name: str, value: Any) -> None:
    assert refused({name: value})[0] == name


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": NAMED}, "tool_choice"),
        ({"thinking_token_budget": 5}, "thinking_token_budget"),
    ],
)
def test_a_model_is_asked_only_for_what_it_can(fields: dict[str, Any], param: str) -> None:
    found, text = refused(fields, PLAIN)
    assert found == param
    assert "'m' does not" in text
    assert taken({"tools": [TOOL], "tool_choice": "none"}, PLAIN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(2**62, 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = [*ChatRequest.model_fields, "frobnicate", "priority"]


def check_outcome(fields: dict[str, Any], params: set[str]) -> None:
    """Either a body that can travel, or a refusal that names one of these fields."""
    try:
        data = parse_json(json.dumps({"model": "m", "messages": [TURN]} | fields))
        msgspec.json.encode(openai_body(CHAT, data))
    except InvalidRequest as error:
        assert error.param is None or error.param.startswith(tuple(params)), error
        assert error.param or "valid JSON" in str(error)
        assert len(str(error)) < 400


@given(name=st.sampled_from(NAMES), value=JSON)
def test_any_value_in_any_field_is_taken_or_named(name: str, value: Any) -> None:
    check_outcome({name: value}, {name})


@given(inner=st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "name", "|spoken"]), JSON))
def test_any_message_is_taken_or_named(inner: dict[str, Any]) -> None:
    check_outcome({"messages": [TURN | inner]}, {"messages[0]"})


@given(fields=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_any_body_is_taken_or_a_field_of_it_named(fields: dict[str, Any]) -> None:
    check_outcome(fields, fields.keys() | {"messages"})
