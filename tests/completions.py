"""Completion requests that the API takes: by field, what may be in it, and what must stand beside it."""

from typing import Any

from gateway.bodies.completion import CompletionRequest
from tests import chats

OWN: dict[str, list[Any]] = {
    "prompt": ["hi", ["hi"], ["hi", "ho"], [0, 7], [[0, 7]], [[1], [2, 3]], ["hi"] * 32],
    "max_tokens": [1, 4096],
    "min_tokens": [0, 16],
    "echo": [True, False],
    "logprobs": [0, 5, 20],
    "best_of": [1],
}
TAKEN = OWN | {
    name: values
    for name, values in chats.TAKEN.items()
    if name in CompletionRequest.model_fields and name not in OWN
}

TOGETHER: list[dict[str, Any]] = [
    {"stream": True, "stream_options": {}},
    {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": None}},
    {"echo": True, "max_tokens": 0},
    {"echo": True, "max_tokens": 0, "logprobs": 5},
    {"echo": True, "logprobs": 1, "stream": True},
    {"n": 2, "best_of": 2},
    {"n": 8, "prompt": ["hi"] * 4},
    {"n": 2, "temperature": 0},
    {"response_format": {"type": "text"}, "structured_outputs": {"regex": "a+"}},
    {"max_tokens": 60, "min_tokens": 60},
]

BODIES: list[dict[str, Any]] = [
    {"prompt": "hi"} | fields
    for fields in [*({name: value} for name, values in TAKEN.items() for value in values), *TOGETHER]
]
"""All of it, a request each, without a model's name."""
