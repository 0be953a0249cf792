"""Requests that vLLM's server refuses, and so does this system."""

from tests.chats import TOOL
from tests.parity.chats import Fields

LONG = {"role": "user", "content": "word " * 2100}
LOST = {"type": "json_schema", "json_schema": {"name": "lost", "schema": {"$ref": "#/nowhere"}}}

CHATS: dict[str, Fields] = {
    "unknown model": {"model": "gpt-4o"},
    "no messages": {"messages": None},
    "conversation too long": {"messages": [LONG]},
    "answer too long": {"max_tokens": 5000},
    "messages of the wrong type": {"messages": "hi"},
    "temperature below 0": {"temperature": -0.5},
    "temperature above 2": {"temperature": 2.1},
    "temperature of the wrong type": {"temperature": "hot"},
    "top_p above 1": {"top_p": 1.5},
    "top_p of 0": {"top_p": 0},
    "top_k below -1": {"top_k": -2},
    "min_p above 1": {"min_p": 2},
    "presence_penalty above 2": {"presence_penalty": 3},
    "frequency_penalty below -2": {"frequency_penalty": -3},
    "repetition_penalty of 0": {"repetition_penalty": 0},
    "max_tokens of 0": {"max_tokens": 0},
    "max_tokens below 0": {"max_tokens": -1},
    "max_tokens of the wrong type": {"max_tokens": "many"},
    "min_tokens above max_tokens": {"min_tokens": 20},
    "n of 0": {"n": 0},
    "too many top_logprobs": {"logprobs": True, "top_logprobs": 100},
    "top_logprobs without logprobs": {"top_logprobs": 2},
    "seed too large": {"seed": 2**64},
    "a token that is none, allowed": {"allowed_token_ids": [10**6]},
    "no token allowed": {"allowed_token_ids": []},
    "a token that is none, biased": {"logit_bias": {"1000000": 5}},
    "bias that is no token": {"logit_bias": {"word": 5}},
    "a format that is none": {"response_format": {"type": "yaml"}},
    "a schema that is none": {"response_format": LOST},
    "json_schema without one": {"response_format": {"type": "json_schema"}},
    "a schema that is not there": {"response_format": {"type": "json_schema", "json_schema": {"name": "city"}}},
    "a regex that is none": {"structured_outputs": {"regex": "("}},
    "two forms": {"structured_outputs": {"regex": "a", "choice": ["a"]}},
    "a tool that is not there": {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "other"}},
    },
    "tool_choice without tools": {"tool_choice": "required"},
    "tools that are none": {"tools": [{"type": "function"}]},
    "a stop that is empty": {"stop": ""},
    "five stops": {"stop": list("abcde")},
    "continued and begun": {"continue_final_message": True, "add_generation_prompt": True},
}

WHOLE: dict[str, Fields] = {"stream_options without stream": {"stream_options": {"include_usage": True}}}
"""Not for streams."""

COMPLETIONS: dict[str, Fields] = {
    "unknown model": {"model": "gpt-4o"},
    "no prompt": {"prompt": None},
    "prompt too long": {"prompt": "word " * 2100},
    "prompt of the wrong type": {"prompt": {"text": "hi"}},
    "a token that is none": {"prompt": [10**6]},
    "temperature below 0": {"temperature": -0.5},
    "max_tokens below 0": {"max_tokens": -1},
}

BODIES: dict[str, bytes] = {
    "no JSON": b"{",
    "no object": b"[]",
    "nothing": b"",
    "a number": b"3",
    "bytes that are no text": b'{"model": "\xff"}',
    "no fields": b"{}",
    "a model that is a number": b'{"model": 3, "messages": [{"role": "user", "content": "hi"}]}',
}
"""Bodies of chats as they stand."""
