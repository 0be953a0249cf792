"""POST /v1/chat/completions: the fields it takes, and those it does not.

Taken, and dropped, because nothing depends on them here: `WITHOUT_EFFECT`. Taken of vLLM's own are those that
change this one answer, at its own cost. The others never reach an engine:

- kv_transfer_params, ec_transfer_params, vllm_xargs, request_id, session_id, priority, cache_salt, mm_payload,
  return_mm_kwargs, routed_experts_prompt_start: between the parts of a cluster, not for clients;
- chat_template, media_io_kwargs, mm_processor_kwargs: a stranger's code, or a stranger's hand in how the worker
  loads things;
- truncate_prompt_tokens, truncation_side: an answer to half a question, and no word of it;
- prompt_logprobs: memory that the engine has not set aside, for every token of a long prompt;
- use_beam_search and length_penalty, which is part of it: one request would hold up the whole batch;
- echo, documents, logprob_token_ids, return_prompt_text, return_token_offsets, repetition_detection,
  stream_interval, watermarking: nobody has needed them here, and each would be a promise.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, Tag
from pydantic_core import PydanticCustomError

from gateway.bodies.conversation import Conversation
from gateway.bodies.formats import ResponseFormat, StructuredOutputs
from gateway.bodies.objects import MOST_INTEGER
from gateway.bodies.shapes import Body, Shape, by_type
from gateway.bodies.tools import ToolChoice, Tools

MOST_ANSWERS = 8
"""Of one chat request, its `n`: each takes a place in the engine's batch."""

MOST_TOKENS = 10_000_000
"""More than any model's context, and than any vocabulary."""

TokenId = Annotated[int, Ge(0), Le(MOST_TOKENS)]
Bias = Annotated[float, Ge(-100), Le(100)]
StopText = Annotated[str, Field(min_length=1)]


def _of_tokens(biases: dict[str, float]) -> dict[str, float]:
    if not all(re.fullmatch(r"[0-9]{1,7}", token) for token in biases):
        raise PydanticCustomError("token_ids", 'should have ids of tokens for names, such as {"50256": -100}')
    return biases


Stop = Annotated[
    Annotated[StopText, Tag("|one")]
    | Annotated[list[StopText], Field(max_length=4, fail_fast=True), Tag("|some")],
    by_type({str: "|one", list: "|some"}, "stop", "should be a text, or a list of up to 4 texts"),
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


class ChatRequest(Sampling):
    """A chat completion request of OpenAI's, with vLLM's extra sampling parameters. Counts are in tokens."""

    refused: ClassVar = {
        "functions": "is not offered; send `tools`",
        "function_call": "is not offered; send `tools` and `tool_choice`",
        "audio": "is not offered: answers are text",
        "prediction": "is not offered",
        "web_search_options": "is not offered: models do not search the web",
        "moderation": "is not offered",
        "best_of": "is not offered; send `n`",
        "use_beam_search": "is not offered; leave it out",
        "chat_template": "is not taken from clients; send `chat_template_kwargs` to the model's own",
        "prompt": "is not a field of chats; send `messages`",
        "guided_json": "is not offered; send `response_format` or `structured_outputs`",
        "guided_regex": "is not offered; send `structured_outputs`",
        "guided_choice": "is not offered; send `structured_outputs`",
        "guided_grammar": "is not offered; send `structured_outputs`",
    }

    model: str | None = None
    messages: Conversation
    seed: int | None = Field(None, ge=-MOST_INTEGER - 1, le=MOST_INTEGER)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    n: int | None = Field(None, ge=1, le=MOST_ANSWERS)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    logit_bias: Annotated[dict[str, Bias], AfterValidator(_of_tokens), Field(max_length=1024)] | None = None
    response_format: ResponseFormat | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None

    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, str] | None = None
    prompt_cache_retention: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, fail_fast=True)] | None = None

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
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    structured_outputs: StructuredOutputs | None = None
    include_reasoning: bool | None = None
    thinking_token_budget: int | None = Field(None, ge=-1, le=MOST_TOKENS)
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None


WITHOUT_EFFECT = frozenset(
    "user safety_identifier metadata store service_tier verbosity modalities "
    "prompt_cache_key prompt_cache_options prompt_cache_retention".split()
)
