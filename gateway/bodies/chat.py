"""POST /v1/chat/completions: the fields it takes, and those it does not.

Taken, and dropped, because nothing depends on them here: `WITHOUT_EFFECT`. Of vLLM's own, these never reach an
engine, beside those that gateway/bodies/sampling.py tells of:

- chat_template, media_io_kwargs, mm_processor_kwargs: a stranger's code, or a stranger's hand in how the worker
  loads things;
- echo, documents, return_prompt_text: nobody has needed them here, and each would be a promise.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gateway.bodies.conversation import Conversation
from gateway.bodies.sampling import MOST_TOKENS, Generation
from gateway.bodies.shapes import at_most
from gateway.bodies.tools import ToolChoice, Tools

Labels = Annotated[dict[str, str], Field(max_length=64), at_most(64)]


class ChatRequest(Generation):
    """A chat completion request."""

    refused: ClassVar = Generation.refused | {
        "functions": "is not offered; send `tools`",
        "function_call": "is not offered; send `tools` and `tool_choice`",
        "audio": "is not offered: answers are text",
        "prediction": "is not offered",
        "web_search_options": "is not offered: models do not search the web",
        "moderation": "is not offered",
        "best_of": "is not offered; send `n`",
        "chat_template": "is not taken from clients; send `chat_template_kwargs` to the model's own",
        "prompt": "is not a field of chats; send `messages`, or send it to /v1/completions",
    }

    messages: Conversation
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None

    safety_identifier: str | None = None
    metadata: Labels | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Labels | None = None
    prompt_cache_retention: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, fail_fast=True)] | None = None

    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    include_reasoning: bool | None = None


WITHOUT_EFFECT = frozenset(
    "user safety_identifier metadata store service_tier verbosity modalities "
    "prompt_cache_key prompt_cache_options prompt_cache_retention".split()
)
