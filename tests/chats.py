"""Chat requests that the API takes: by field, what may be in it, and what must stand beside it."""

from typing import Any

from shared.catalog import Model

CHAT = Model(
    id="m",
    kind="chat",
    engine="simulated",
    weights="",
    description="",
    context=4096,
    max_tokens=50,
    engine_args={"enable_auto_tool_choice": True, "tool_call_parser": "hermes", "reasoning_parser": "deepseek_r1"},
)
"""A model that can do all there is."""

TURN = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": None}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
TEXT = {"type": "text", "text": "hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "default": None}}}

TAKEN: dict[str, list[Any]] = {
    "messages": [
        [TURN],
        [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": [TEXT]}, TURN],
        [TURN | {"content": [TEXT, TEXT], "name": "ann"}],
        [TURN, {"role": "assistant", "content": ""}, TURN | {"name": None}],
        [TURN, {"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "no"}]}, TURN],
        [TURN, {"role": "assistant", "refusal": "no"}, TURN],
        [TURN, {"role": "assistant", "content": None, "reasoning": "hm"}, TURN],
        [TURN, {"role": "assistant", "content": "x", "reasoning_content": "hm", "annotations": []}, TURN],
        # As an answer of ours comes back: with all its fields.
        [
            TURN,
            {"role": "assistant", "content": "x", "refusal": None, "annotations": None, "audio": None}
            | {"function_call": None, "tool_calls": [], "reasoning": None},
            TURN,
        ],
        [
            TURN,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        [
            TURN,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": [TEXT]},
        ],
    ],
    "max_tokens": [1, 4096],
    "max_completion_tokens": [1, 4096],
    "temperature": [0, 0.7, 2, 2.0],
    "top_p": [0.1, 1],
    "top_k": [-1, 0, 40],
    "min_p": [0, 0.5, 1],
    "seed": [0, -1, -(2**63), 2**63 - 1],
    "stop": ["\n", ["a"], ["a", "b", "c", "d"], []],
    "presence_penalty": [-2, 0.5, 2],
    "frequency_penalty": [-2, 0.5, 2],
    "repetition_penalty": [0.5, 1, 2],
    "n": [1, 8],
    "stream": [True, False],
    "logprobs": [True, False],
    "logit_bias": [{}, {"50256": -100, "7": 0.5}],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}},
        {"type": "json_schema", "json_schema": {"name": "c", "schema": {}, "description": None, "strict": None}},
    ],
    "tools": [[TOOL], [{"type": "function", "function": {"name": "now", "description": "The time."}}]],
    "tool_choice": ["none"],
    "parallel_tool_calls": [True, False],
    "reasoning_effort": ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
    "min_tokens": [0, 50],
    "stop_token_ids": [[], [0, 2]],
    "allowed_token_ids": [[0, 2]],
    "bad_words": [[], ["damn"]],
    "ignore_eos": [True, False],
    "include_stop_str_in_output": [True, False],
    "skip_special_tokens": [True, False],
    "spaces_between_special_tokens": [True, False],
    "add_special_tokens": [True, False],
    "add_generation_prompt": [True, False],
    "continue_final_message": [True, False],
    "chat_template_kwargs": [{}, {"enable_thinking": False}],
    "structured_outputs": [
        {"json": SCHEMA},
        {"json_object": True},
        {"regex": "[a-z]+", "choice": None},
        {"choice": ["yes", "no"]},
        {"grammar": 'root ::= "yes"'},
    ],
    "include_reasoning": [True, False],
    "thinking_token_budget": [-1, 0, 100],
    "return_token_ids": [True, False],
    "return_tokens_as_token_ids": [True, False],
    "user": ["ann"],
    "safety_identifier": ["a1b2"],
    "metadata": [{}, {"topic": "weather"}],
    "store": [True, False],
    "service_tier": ["auto", "default", "flex", "scale", "priority", "fast"],
    "prompt_cache_key": ["a1b2"],
    "prompt_cache_options": [{"mode": "implicit"}],
    "prompt_cache_retention": ["24h"],
    "verbosity": ["low", "medium", "high"],
    "modalities": [["text"]],
}

TOGETHER: list[dict[str, Any]] = [
    {"stream": True, "stream_options": {}},
    {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": None}},
    {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}},
    {"logprobs": True, "top_logprobs": 20},
    {"logprobs": False, "top_logprobs": 0},
    {"tools": [TOOL], "tool_choice": "none"},
    {"tools": [TOOL], "tool_choice": "auto"},
    {"tools": [TOOL], "tool_choice": "required"},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    {"tools": [TOOL], "structured_outputs": {"choice": ["yes", "no"]}},
    {"response_format": {"type": "text"}, "structured_outputs": {"regex": "a+"}},
    {"continue_final_message": True, "add_generation_prompt": False},
    {"n": 2, "temperature": 0},
    {"max_tokens": 5, "max_completion_tokens": 60, "min_tokens": 60},
]


SCHEMAS = ("schema", "parameters", "json")


def without_nulls(value: Any) -> Any:
    """What an engine gets of it: what is null is left out, but for what schemas say of nulls."""
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    if not isinstance(value, dict):
        return value
    given = {name: each for name, each in value.items() if each is not None}
    return {name: each if name in SCHEMAS else without_nulls(each) for name, each in given.items()}


def check_refusal(refused: tuple[str | None, str], param: str, words: str) -> None:
    """A refusal, as its param and its text, that names the field and the fix."""
    found, text = refused
    assert (found, text.startswith(f"{param}: ")) == (param, True), text
    assert words in text
    assert len(text) < 300


BODIES: list[dict[str, Any]] = [
    {"messages": [TURN]} | fields
    for fields in [*({name: value} for name, values in TAKEN.items() for value in values), *TOGETHER]
]
"""All of it, a request each, without a model's name."""
