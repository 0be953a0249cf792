"""Completion requests, by name: what each adds to a short greedy prompt."""

from tests.parity.chats import CITY, DRAWN, Fields

PROMPT = "The capital of France is"
BASE: Fields = {"prompt": PROMPT, "max_tokens": 8, "temperature": 0}

COMPLETIONS: dict[str, Fields] = {
    "text": {},
    "texts": {"prompt": [PROMPT, "One, two,"]},
    "ids of tokens": {"prompt": [504, 3575, 282]},
    "lists of ids": {"prompt": [[504, 3575, 282], [504, 260]]},
    "no max_tokens": {"max_tokens": None},
    "no temperature": {"temperature": None},
    "echo": {"echo": True},
    "echo alone": {"echo": True, "max_tokens": 0},
    "echo with logprobs": {"echo": True, "logprobs": 1, "max_tokens": 3},
    "echo of texts": {"echo": True, "prompt": [PROMPT, "One, two,"], "max_tokens": 3},
    "stop": {"stop": [" the", ","]},
    "stop in the answer": {"stop": [" the", ","], "include_stop_str_in_output": True},
    "two answers": DRAWN | {"n": 2},
    "two answers to two texts": DRAWN | {"n": 2, "prompt": [PROMPT, "One, two,"], "max_tokens": 4},
    "seed": DRAWN,
    "logprobs": {"logprobs": 2, "max_tokens": 4},
    "no logprobs": {"logprobs": 0, "max_tokens": 4},
    "penalties": {"presence_penalty": 1, "frequency_penalty": 1, "repetition_penalty": 1.2},
    "logit_bias": {"logit_bias": {"7042": -100}},
    "json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}},
        "max_tokens": 16,
    },
    "structured choice": {"structured_outputs": {"choice": ["Rome", "Oslo"]}},
    "returned ids": {"return_token_ids": True, "max_tokens": 4},
    "user": {"user": "ann"},
}

STREAMED: dict[str, Fields] = {
    "usage at the end": {"stream_options": {"include_usage": True}},
    "usage all the time": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
}
"""Only for streams."""
