"""POST /v1/completions: the fields it takes, and those it does not.

Taken, and dropped: `user`, on which nothing depends here, and `best_of`, which must be `n`. These never reach an
engine, beside those that gateway/bodies/sampling.py tells of:

- suffix: only a model that was made to fill in what is missing takes it, and the catalogue has none;
- prompt_embeds: tensors of a stranger's, which the worker would have to unpack.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag

from gateway.bodies.sampling import MOST_ANSWERS, MOST_TOKENS, Generation, TokenId
from shared.catalog import Model

MOST_CHOICES = 32
"""Of one request, its prompts times `n`: each takes a place in the engine's batch."""

USUAL = 16
"""Tokens of an answer whose request does not say, as OpenAI and vLLM have it for completions."""

Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]


def _kind_of_prompt(prompt: Any) -> str | None:
    """The tag of a prompt, by its first member if it is a list."""
    if isinstance(prompt, list):
        return LISTS.get(type(prompt[0]), "|tokens") if prompt else "|texts"
    return "|text" if isinstance(prompt, str) else None


LISTS: dict[type, str] = {str: "|texts", list: "|lists"}
Prompt = Annotated[
    Annotated[Text, Tag("|text")]
    | Annotated[list[Text], Field(min_length=1, max_length=MOST_CHOICES, fail_fast=True), Tag("|texts")]
    | Annotated[Tokens, Tag("|tokens")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MOST_CHOICES, fail_fast=True), Tag("|lists")],
    Discriminator(
        _kind_of_prompt,
        custom_error_type="prompt",
        custom_error_message="should be a text, a list of texts, a list of ids of tokens, or a list of such lists",
    ),
]


class CompletionRequest(Generation):
    """A completion request. `max_tokens` is 0 for those who want the echo of their prompt alone."""

    refused: ClassVar = Generation.refused | {
        "messages": "is not a field of completions; send `prompt`, or send it to /v1/chat/completions",
        "max_completion_tokens": "is not a field of completions; send `max_tokens`",
        "top_logprobs": "is not a field of completions; send `logprobs`, a number",
        "suffix": "is not offered: models go on after the prompt; leave it out",
        "prompt_embeds": "is not offered; send `prompt`",
    }

    prompt: Prompt
    max_tokens: int | None = Field(None, ge=0, le=MOST_TOKENS)
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=20)
    best_of: int | None = Field(None, ge=1, le=MOST_ANSWERS)


def usual_length(model: Model) -> int:
    """The longest answer to a request that does not say, in tokens."""
    return min(USUAL, model.max_tokens or USUAL)


WITHOUT_EFFECT = frozenset({"user", "best_of"})
