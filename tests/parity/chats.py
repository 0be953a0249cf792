"""Chat requests, by name: what each adds to a short greedy question."""

from typing import Any

from tests.chats import SCHEMA, TEXT, TOOL, TURN

Fields = dict[str, Any]

QUESTION = {"role": "user", "content": "What is the capital of France?"}
BASE: Fields = {"messages": [QUESTION], "max_tokens": 8, "temperature": 0}
"""The whole answer has 8 tokens, its end included."""

DRAWN: Fields = {"temperature": 1, "seed": 7}
"""Sampled, but with a seed: equal logits give equal tokens."""

CITY = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}
FORECAST = {
    "type": "function",
    "function": {"name": "forecast", "description": "The weather.", "parameters": CITY},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "forecast", "arguments": '{"city": "Rome"}'}}
RETURNED = {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 25 degrees."}
HERMES = '<tool_call>\n{"name": "forecast", "arguments": {"city": "Rome"}}\n</tool_call>'

CONVERSATIONS: dict[str, Fields] = {
    "one turn": {},
    "system": {"messages": [{"role": "system", "content": "Answer in one word."}, QUESTION]},
    "developer": {"messages": [{"role": "developer", "content": "Answer in one word."}, QUESTION]},
    "several turns": {
        "messages": [
            QUESTION,
            {"role": "assistant", "content": "Paris."},
            {"role": "user", "content": "And of Italy?"},
        ]
    },
    "content in parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Count:"}, TEXT]}]},
    "names of speakers": {"messages": [QUESTION | {"name": "ann"}]},
    "empty content": {"messages": [{"role": "user", "content": ""}]},
    "other alphabets": {"messages": [{"role": "user", "content": "Repeat: żółw 東京 🙂"}], "max_tokens": 16},
    "results of tools": {
        "messages": [TURN, {"role": "assistant", "content": "", "tool_calls": [CALL]}, RETURNED],
    },
    "calls without content": {
        "messages": [TURN, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RETURNED],
    },
    "an answer sent back as it came": {
        "messages": [
            QUESTION,
            {"role": "assistant", "content": "Paris.", "refusal": None, "annotations": None, "audio": None}
            | {"function_call": None, "tool_calls": [], "reasoning": None},
            TURN,
        ]
    },
    "continued message": {
        "messages": [QUESTION, {"role": "assistant", "content": "The capital of"}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    },
    "no generation prompt": {"add_generation_prompt": False},
    "special tokens added": {"add_special_tokens": True},
    "variables of the template": {"chat_template_kwargs": {"enable_thinking": False}},
    "no max_tokens": {"max_tokens": None},
    "no temperature": {"temperature": None},
    "max_completion_tokens": {"max_tokens": None, "max_completion_tokens": 5},
    "both lengths": {"max_tokens": 9, "max_completion_tokens": 5},
    "one token": {"max_tokens": 1},
}

ENDS: dict[str, Fields] = {
    "stop text": {"stop": " of"},
    "stop texts": {"stop": ["Italy", " France"]},
    "stop across tokens": {"stop": "al of Fr"},
    "no stop": {"stop": []},
    "four stops": {"stop": ["Italy", "Spain", " France", "Rome"]},
    "stop in the answer": {"stop": [" France"], "include_stop_str_in_output": True},
    "stop token": {"stop_token_ids": [7042]},
    "min_tokens": {"messages": [{"role": "user", "content": "Say yes."}], "min_tokens": 10, "max_tokens": 12},
    "ignore_eos": {"messages": [{"role": "user", "content": "Say yes."}], "ignore_eos": True, "max_tokens": 12},
    "special tokens shown": {"skip_special_tokens": False, "ignore_eos": True, "max_tokens": 10},
    "special tokens unspaced": {
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "ignore_eos": True,
        "max_tokens": 10,
    },
}

SAMPLING: dict[str, Fields] = {
    "seed": DRAWN,
    "negative seed": DRAWN | {"seed": -7},
    "top_k": DRAWN | {"top_k": 5},
    "top_p": DRAWN | {"top_p": 0.5},
    "all of top_p": DRAWN | {"top_p": 1},
    "next to nothing of top_p": DRAWN | {"top_p": 0.01},
    "most temperature": DRAWN | {"temperature": 2},
    "most temperature of next to nothing": DRAWN | {"temperature": 2, "top_p": 0.01},
    "min_p": DRAWN | {"min_p": 0.2},
    "all of these": DRAWN | {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05},
    "presence_penalty": {"presence_penalty": 1.5, "max_tokens": 16},
    "frequency_penalty": {"frequency_penalty": 1.5, "max_tokens": 16},
    "least presence_penalty": {"presence_penalty": -2, "max_tokens": 16},
    "most presence_penalty": {"presence_penalty": 2, "max_tokens": 16},
    "least frequency_penalty": {"frequency_penalty": -2, "max_tokens": 16},
    "most frequency_penalty": {"frequency_penalty": 2, "max_tokens": 16},
    "repetition_penalty": {"repetition_penalty": 1.3, "max_tokens": 16},
    "logit_bias": {"logit_bias": {"7042": -100, "2382": 5.5}},
    "bad_words": {"bad_words": ["Paris", "France"]},
    "allowed_token_ids": {"allowed_token_ids": [2382, 4461, 30]},
    "one answer": DRAWN | {"n": 1},
    "two answers": DRAWN | {"n": 2, "max_tokens": 8},
    "three answers with a stop": DRAWN | {"n": 3, "stop": ["."]},
    "eight answers of one token": DRAWN | {"n": 8, "max_tokens": 1},
}

LOGPROBS: dict[str, Fields] = {
    "logprobs": {"logprobs": True, "max_tokens": 6},
    "no top_logprobs": {"logprobs": True, "top_logprobs": 0, "max_tokens": 6},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3, "max_tokens": 6},
    "most top_logprobs": {"logprobs": True, "top_logprobs": 20, "max_tokens": 2},
    "logprobs of one token": {"logprobs": True, "top_logprobs": 20, "max_tokens": 1},
    "logprobs of two answers": DRAWN | {"logprobs": True, "top_logprobs": 2, "n": 2, "max_tokens": 4},
    "logprobs with a stop": {"logprobs": True, "stop": " France"},
    "tokens as ids": {"logprobs": True, "top_logprobs": 1, "return_tokens_as_token_ids": True, "max_tokens": 4},
    "ids of tokens": {"return_token_ids": True, "max_tokens": 6},
}

FORMS: dict[str, Fields] = {
    "format text": {"response_format": {"type": "text"}},
    "json_object": {"response_format": {"type": "json_object"}, "max_tokens": 20},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": CITY, "strict": True},
        },
        "max_tokens": 20,
    },
    "json_schema with a default": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}},
    },
    "structured json": {"structured_outputs": {"json": CITY}, "max_tokens": 20},
    "structured json_object": {"structured_outputs": {"json_object": True}},
    "structured regex": {"structured_outputs": {"regex": "[A-Z]{3}-[0-9]{2}"}},
    "structured choice": {"structured_outputs": {"choice": ["London", "Berlin"]}},
    "structured grammar": {"structured_outputs": {"grammar": 'root ::= "yes" | "no"'}},
    "drawn in a form": DRAWN | {"structured_outputs": {"regex": "[a-z]{8}"}},
}

TOOLS: dict[str, Fields] = {
    "tools, not called": {"tools": [FORECAST]},
    "tools, none wanted": {"tools": [FORECAST], "tool_choice": "none"},
    "tool, auto": {
        "tools": [FORECAST],
        "tool_choice": "auto",
        "structured_outputs": {"choice": [HERMES]},
        "max_tokens": 48,
    },
    "tool, named": {
        "tools": [FORECAST, TOOL],
        "tool_choice": {"type": "function", "function": {"name": "forecast"}},
        "max_tokens": 24,
    },
    "tool, named, cut short": {
        "tools": [FORECAST],
        "tool_choice": {"type": "function", "function": {"name": "forecast"}},
        "max_tokens": 4,
    },
    "tool, required": {"tools": [FORECAST], "tool_choice": "required", "max_tokens": 32},
    "tool, required, one at a time": {
        "tools": [FORECAST],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 32,
    },
    "tool, named, with logprobs": {
        "tools": [FORECAST],
        "tool_choice": {"type": "function", "function": {"name": "forecast"}},
        "logprobs": True,
        "max_tokens": 24,
    },
}

NOTES: dict[str, Fields] = {
    "fields without effect": {
        "user": "ann",
        "metadata": {"topic": "cities"},
        "store": False,
        "service_tier": "auto",
        "prompt_cache_key": "cities",
        "safety_identifier": "a1b2",
        "verbosity": "low",
        "modalities": ["text"],
    },
    "fields that are null": {"stop": None, "seed": None, "n": None, "tools": None, "logit_bias": None},
    "no reasoning wanted": {"include_reasoning": False},
    "reasoning effort": {"reasoning_effort": "low"},
}

WHOLE: dict[str, Fields] = {
    # Some 330 tokens: what is left of the context is all that the answer can have. Token 81 is "a".
    "more max_tokens than room": {
        "messages": [{"role": "user", "content": "word " * 300}],
        "max_tokens": 2000,
        "allowed_token_ids": [81],
        "stop": "aaa",
    },
}
"""Not for streams."""

STREAMED: dict[str, Fields] = {
    "usage at the end": {"stream_options": {"include_usage": True}},
    "usage all the time": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    "continuous usage alone": {"stream_options": {"continuous_usage_stats": True}},
    "no usage": {"stream_options": {"include_usage": False}},
    "usage of two answers": DRAWN | {"n": 2, "max_tokens": 6, "stream_options": {"include_usage": True}},
    "usage of a tool's call": TOOLS["tool, named"] | {"stream_options": {"include_usage": True}},
}
"""Only for streams."""

CHATS = CONVERSATIONS | ENDS | SAMPLING | LOGPROBS | FORMS | TOOLS | NOTES
