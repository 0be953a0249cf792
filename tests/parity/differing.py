"""Requests to which this system answers otherwise than vLLM's server, on purpose: `differences.py` tells why."""

from tests.chats import TOOL
from tests.parity.chats import Fields

CHATS: dict[str, Fields] = {
    "two greedy answers": {"n": 2},
    "nine answers": {"n": 9, "temperature": 1, "seed": 7, "max_tokens": 2},
    "a field that is none": {"max_token": 5},
    "a field of the engine's": {"priority": 0, "max_tokens": 2},
    "beams": {"use_beam_search": True, "n": 2, "max_tokens": 4},
    "echo": {"echo": True, "add_generation_prompt": False, "max_tokens": 2},
    "functions": {"functions": [TOOL["function"]], "max_tokens": 2},
    "text for a number": {"max_tokens": "2"},
    "a role that is none": {"messages": [{"role": "bot", "content": "hi"}], "max_tokens": 2},
}

WHOLE: dict[str, Fields] = {
    # Token 81 is "a": 70 of them, and then the stop.
    "longer than the default": {"max_tokens": None, "allowed_token_ids": [81], "stop": "a" * 70},
    "logprobs of the prompt": {"prompt_logprobs": 1, "max_tokens": 2},
}
"""Not for streams."""
