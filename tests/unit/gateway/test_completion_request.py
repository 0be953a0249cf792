"""What POST /v1/completions takes and refuses, before a job is made of it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bodies import completion_body, parse_json
from gateway.bodies.completion import WITHOUT_EFFECT, CompletionRequest
from shared.errors import InvalidRequest
from tests.chats import CHAT, SCHEMA, check_refusal, without_nulls
from tests.completions import BODIES, TAKEN, TOGETHER
from tests.factories import make_model
from tests.unit.gateway.test_chat_request import JSON

PLAIN = CHAT.model_copy(update={"engine_args": {}})


def taken(fields: dict[str, Any], model: Any = CHAT) -> dict[str, Any]:
    """What a job gets of a request with these fields, which came as JSON."""
    return completion_body(model, parse_json(json.dumps({"model": "m", "prompt": "hi"} | fields)))


def refused(fields: dict[str, Any], model: Any = CHAT) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as error:
        taken(fields, model)
    return error.value.param, str(error.value)


@pytest.mark.parametrize("fields", BODIES, ids=str)
def test_what_is_taken_reaches_the_engine_as_it_is(fields: dict[str, Any]) -> None:
    body = taken(fields)
    for name in fields.keys() - WITHOUT_EFFECT:
        assert body[name] == without_nulls(fields[name])


def test_every_field_has_its_examples() -> None:
    together = {name for fields in TOGETHER for name in fields}
    assert CompletionRequest.model_fields.keys() == {"model"} | TAKEN.keys() | together


@pytest.mark.parametrize("name", sorted(CompletionRequest.model_fields.keys() - {"model", "prompt"}))
def test_null_is_as_good_as_left_out(name: str) -> None:
    assert taken({name: None}) == taken({}) == {"model": "m", "prompt": "hi", "max_tokens": 16}


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT))
def test_what_has_no_effect_goes_no_further(name: str) -> None:
    assert taken({name: TAKEN[name][0]}) == taken({})


def test_the_default_length_holds_for_those_who_say_none() -> None:
    assert taken({"max_tokens": 7})["max_tokens"] == 7
    assert taken({"echo": True, "max_tokens": 0})["max_tokens"] == 0


def test_a_model_of_images_does_not_write() -> None:
    param, text = refused({}, make_model(id="i", kind="image"))
    assert (param, text) == ("model", "model: 'i' makes images, it does not write")


INTEGERS = "should be an integer from"
BAD: list[tuple[dict[str, Any], str, str]] = [
    # prompts
    ({"prompt": None}, "prompt", "this field is required"),
    (
        {"prompt": 3},
        "prompt",
        "should be a text, a list of texts, a list of ids of tokens, or a list of such lists",
    ),
    ({"prompt": {"text": "hi"}}, "prompt", "should be a text, a list of texts"),
    ({"prompt": ""}, "prompt", "should not be empty"),
    ({"prompt": []}, "prompt", "should not be empty"),
    ({"prompt": [""]}, "prompt[0]", "should not be empty"),
    ({"prompt": [[]]}, "prompt[0]", "should not be empty"),
    ({"prompt": ["hi", 3]}, "prompt[1]", "should be a text, got 3"),
    ({"prompt": ["hi", [3]]}, "prompt[1]", "should be a text, got a list"),
    ({"prompt": [3, "hi"]}, "prompt[1]", 'should be an integer, got "hi"'),
    ({"prompt": [3, True]}, "prompt[1]", "should be an integer, got true"),
    ({"prompt": [True]}, "prompt[0]", "should be an integer, got true"),
    ({"prompt": [1.0]}, "prompt[0]", "should be an integer, got 1.0"),
    ({"prompt": [-1]}, "prompt[0]", "should be at least 0, got -1"),
    ({"prompt": [2**64]}, "prompt[0]", f"{INTEGERS} -9223372036854775808"),
    ({"prompt": [[1], "hi"]}, "prompt[1]", "should be a list"),
    ({"prompt": [[1], [2, "3"]]}, "prompt[1][1]", 'should be an integer, got "3"'),
    ({"prompt": [7] * 4096}, "prompt", "has 4096 tokens, and the context of 'm' is 4096"),
    ({"prompt": [[7], [7] * 5000]}, "prompt", "has 5000 tokens"),
    ({"prompt": ["hi"] * 33}, "prompt", "should have at most 32 members, got 33"),
    ({"prompt": [[1]] * 33}, "prompt", "should have at most 32 members, got 33"),
    ({"prompt": ["hi"] * 17, "n": 2}, "prompt", "should have at most 16 prompts beside this `n`, got 17"),
    # numbers
    ({"max_tokens": -1}, "max_tokens", f"{INTEGERS} 0 on, got -1"),
    ({"max_tokens": 4097}, "max_tokens", "should be at most 4096, the context of 'm', got 4097"),
    ({"max_tokens": 0}, "max_tokens", "should be at least 1, or 0 beside `echo`: true"),
    ({"logprobs": 21}, "logprobs", f"{INTEGERS} 0 to 20, got 21"),
    ({"logprobs": True}, "logprobs", f"{INTEGERS} 0 to 20, got true"),
    ({"n": 9}, "n", f"{INTEGERS} 1 to 8, got 9"),
    ({"temperature": 2.1}, "temperature", "should be a number from 0 to 2, got 2.1"),
    ({"stop": list("abcde")}, "stop", "should have at most 4 members, got 5"),
    ({"logit_bias": {"hi": 1}}, "logit_bias", "should have ids of tokens for names"),
    ({"echo": "yes"}, "echo", 'should be true or false, got "yes"'),
    # fields that do not agree
    ({"best_of": 2}, "best_of", "should be 1, as `n`, or left out"),
    ({"best_of": 3, "n": 2}, "best_of", "should be 2, as `n`, or left out"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "needs `stream`: true"),
    ({"min_tokens": 17}, "min_tokens", "should be at most 16, as long as the answer, got 17"),
    (
        {"structured_outputs": {"json": SCHEMA}, "response_format": {"type": "json_object"}},
        "structured_outputs",
        "not both",
    ),
    # what others have, and we do not
    ({"suffix": "end"}, "suffix", "models go on after the prompt; leave it out"),
    ({"messages": []}, "messages", "send it to /v1/chat/completions"),
    ({"max_completion_tokens": 3}, "max_completion_tokens", "send `max_tokens`"),
    ({"top_logprobs": 3}, "top_logprobs", "send `logprobs`, a number"),
    ({"prompt_embeds": "AAAA"}, "prompt_embeds", "send `prompt`"),
    ({"guided_regex": "a"}, "guided_regex", "send `structured_outputs`"),
    ({"max_token": 1}, "max_token", "unknown field: did you mean 'max_tokens'?"),
]


@pytest.mark.parametrize(("fields", "param", "words"), BAD, ids=lambda value: str(value)[:60])
def test_what_is_refused_names_field_and_fix(fields: dict[str, Any], param: str, words: str) -> None:
    check_refusal(refused(fields), param, words)


@pytest.mark.parametrize(
    "name",
    "kv_transfer_params ec_transfer_params vllm_xargs priority request_id session_id cache_salt chat_template "
    "truncate_prompt_tokens truncation_side mm_payload prompt_logprobs logprob_token_ids use_beam_search "
    "length_penalty prompt_embeds suffix tools tool_choice".split(),
)
@pytest.mark.parametrize("value", [1, "x", {}, [1], True])
def test_what_is_the_engines_own_business_never_reaches_it(name: str, value: Any) -> None:
    assert refused({name: value})[0] == name


def test_a_model_that_does_not_think_has_no_budget_for_it() -> None:
    param, text = refused({"thinking_token_budget": 5}, PLAIN)
    assert (param, "'m' does not think" in text) == ("thinking_token_budget", True)


NAMES = [*CompletionRequest.model_fields, "frobnicate", "priority"]


def check_outcome(name: str, value: Any) -> None:
    """Either a body that can travel, or a refusal that names the field."""
    try:
        msgspec.json.encode(taken({name: value}))
    except InvalidRequest as error:
        assert error.param is None or error.param.startswith(name), error
        assert error.param or "valid JSON" in str(error)
        assert len(str(error)) < 400


@given(name=st.sampled_from(NAMES), value=JSON)
def test_any_value_in_any_field_is_taken_or_named(name: str, value: Any) -> None:
    check_outcome(name, value)


@given(prompt=st.lists(st.text(max_size=3) | st.integers() | st.lists(st.integers(0, 9)), max_size=3) | JSON)
def test_any_prompt_is_taken_or_named(prompt: Any) -> None:
    check_outcome("prompt", prompt)
