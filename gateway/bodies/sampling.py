"""What chats and completions have in common: how to choose tokens, and how the answer is sent.

Taken of vLLM's own are the fields that change this one answer, at its own cost. The others never reach an engine:

- kv_transfer_params, ec_transfer_params, vllm_xargs, request_id, session_id, priority, cache_salt, mm_payload,
  return_mm_kwargs, routed_experts_prompt_start: between the parts of a cluster, not for clients;
- truncate_prompt_tokens, truncation_side: an answer to half a question, and no word of it;
- prompt_logprobs: memory that the engine has not set aside, for every token of a long prompt;
- use_beam_search and length_penalty, which is part of it: one request would hold up the whole batch;
- logprob_token_ids, return_token_offsets, repetition_detection, stream_interval, watermarking: nobody has needed
  them here, and each would be a promise.
"""

import re
from typing import Annotated, ClassVar

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, Tag
from pydantic_core import PydanticCustomError

from gateway.bodies.formats import ResponseFormat, StructuredOutputs
from gateway.bodies.objects import MOST_INTEGER
from gateway.bodies.shapes import Body, Shape, at_most, by_type

MOST_ANSWERS = 8
"""Of one prompt, its `n`: each takes a place in the engine's batch."""

MOST_STOPS = 4
"""Texts that end an answer: as OpenAI has it, and the requests of vLLM, which refuse a fifth."""

MOST_TOKENS = 10_000_000
"""More than any model's context, and than any vocabulary."""

TokenId = Annotated[int, Ge(0), Le(MOST_TOKENS)]
Bias = Annotated[float, Ge(-100), Le(100)]
StopText = Annotated[str, Field(min_length=1)]


TOKEN_ID = "[0-9]{1,7}"


def _of_tokens(biases: dict[str, float]) -> dict[str, float]:
    wrong = [token for token in biases if not re.fullmatch(TOKEN_ID, token)]
    if wrong and re.fullmatch("[0-9]+", wrong[0]):
        raise PydanticCustomError("token_ids", f"should have ids of at most 7 digits, got {wrong[0][:30]}")
    if wrong:
        raise PydanticCustomError("token_ids", 'should have ids of tokens for names, such as {"50256": -100}')
    return biases


Biases = Annotated[
    dict[str, Bias],
    Field(max_length=1024, json_schema_extra={"propertyNames": {"pattern": f"^{TOKEN_ID}$"}}),
    at_most(1024),
    AfterValidator(_of_tokens),
]


Stop = Annotated[
    Annotated[StopText, Tag("|one")]
    | Annotated[list[StopText], Field(max_length=MOST_STOPS, fail_fast=True), Tag("|some")],
    by_type({str: "|one", list: "|some"}, "stop", f"should be a text, or a list of up to {MOST_STOPS} texts"),
]


class Sampling(Body):
    """How to choose tokens: OpenAI's names and ranges; what is left out is the model's own default."""

    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=MOST_TOKENS)
    seed: int | None = Field(None, ge=0, le=MOST_INTEGER)
    stop: Stop | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)


class StreamOptions(Shape):
    """`include_obfuscation` is taken as OpenAI's clients send it; chunks are never padded."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: bool | None = None


class Generation(Sampling):
    """A request of OpenAI's for text, with vLLM's extra sampling parameters. Counts are in tokens."""

    refused: ClassVar = {
        "use_beam_search": "is not offered; leave it out",
        "guided_json": "is not offered; send `response_format` or `structured_outputs`",
        "guided_regex": "is not offered; send `structured_outputs`",
        "guided_choice": "is not offered; send `structured_outputs`",
        "guided_grammar": "is not offered; send `structured_outputs`",
    }

    model: str | None = None
    seed: int | None = Field(None, ge=-MOST_INTEGER - 1, le=MOST_INTEGER)
    n: int | None = Field(None, ge=1, le=MOST_ANSWERS)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: Biases | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None

    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=100)
    min_tokens: int | None = Field(None, ge=0, le=MOST_TOKENS)
    stop_token_ids: Annotated[list[TokenId], Field(max_length=128, fail_fast=True)] | None = None
    allowed_token_ids: Annotated[list[TokenId], Field(min_length=1, fail_fast=True)] | None = None
    bad_words: Annotated[list[StopText], Field(max_length=64, fail_fast=True)] | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    add_special_tokens: bool | None = None
    structured_outputs: StructuredOutputs | None = None
    thinking_token_budget: int | None = Field(None, ge=-1, le=MOST_TOKENS)
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
