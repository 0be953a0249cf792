"""What may differ from vLLM's server, and why. docs/openai.md tells clients.

Each of these must be seen: one that has vanished is to be struck off here, and there.
"""

import re
from dataclasses import dataclass
from typing import Any

from tests.parity.comparison import Absent, Gap
from tests.parity.requests import Request


@dataclass(frozen=True)
class Difference:
    """In replies to these requests, by their titles, these places differ. `*` stands for anything.

    `ours` is the type of what this system has there.
    """

    requests: tuple[str, ...]
    places: tuple[str, ...]
    reason: str
    ours: Any = object

    def sightings(self, request: Request, gap: Gap) -> set[str]:
        """Of its patterns those that this gap fits; none if it is not covered."""
        requests = {pattern for pattern in self.requests if _fits(request.title, pattern)}
        places = {pattern for pattern in self.places if _fits(gap.place, pattern)}
        return requests | places if requests and places and isinstance(gap.ours, self.ours) else set()

    @property
    def patterns(self) -> set[str]:
        """All that must be seen at least once."""
        return {*self.requests, *self.places}


def _fits(text: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None


ADDED = """
kind description aliases context max_tokens state workers running waiting tokens_per_second
""".split()
"""Fields of a model."""

DIFFERENCES = (
    Difference(
        ("*refused*",),
        ("body.error.type", "body.error.code"),
        "OpenAI's own: a word that programs can tell apart, where vLLM repeats the status",
        ours=str,
    ),
    Difference(("*refused*",), ("body.error.message",), "names the field and what to send instead", ours=str),
    Difference(
        ("*refused*",),
        ("body.error.param",),
        "the field as the client knows it, where vLLM has none, its own name for it, or `body.` before it",
        ours=str | None,
    ),
    Difference(
        ("body, refused: bytes that are no text",),
        ("body.error", "body.detail"),
        "an error like all others, where vLLM's has another shape",
        ours=dict | Absent,
    ),
    Difference(
        (
            "chat, refused: too many top_logprobs",
            "chat, refused: a token that is none, allowed",
            "chat, refused: no token allowed",
            "chat, refused: a token that is none, biased",
            "completion, refused: a token that is none",
            "chat, refused: a schema that is none",
            "chat, refused: a regex that is none",
        ),
        ("status 400 for 200",),
        "a stream that cannot begin is refused with a status, where vLLM's is 200 and its first event an error",
    ),
    Difference(
        ("chat, differs: longer than the default",),
        (
            "body.choices[0].message.content",
            "body.choices[0].finish_reason",
            "body.choices[0].stop_reason",
            "body.usage.completion_tokens",
            "body.usage.total_tokens",
        ),
        "without max_tokens an answer ends at the `max_tokens` of the model's entry in the catalogue",
    ),
    Difference(
        ("chat, differs: two greedy answers",),
        ("status 200 for 400",),
        "several answers without randomness are given, all the same, as OpenAI does",
    ),
    Difference(
        (
            "chat, differs: a field that is none",
            "chat, differs: a role that is none",
            "chat, differs: text for a number",
        ),
        ("status 400 for 200",),
        "a mistake in a request is told, where vLLM ignores it or guesses",
    ),
    Difference(
        (
            "chat, differs: nine answers",
            "chat, differs: a field of the engine's",
            "chat, differs: beams",
            "chat, differs: echo",
            "chat, differs: functions",
            "chat, differs: logprobs of the prompt",
        ),
        ("status 400 for 200",),
        "not offered to strangers: gateway/bodies tells why of each",
    ),
    Difference(
        ("models: list",),
        ("body.data[0].owned_by", "body.data[0].root", "body.data[0].parent", "body.data[0].permission"),
        "whose model it is; where its weights lie is not told, and OpenAI's list has no permissions any more",
        ours=str | Absent,
    ),
    Difference(
        ("models: list",),
        tuple(f"body.data[0].{name}" for name in ADDED),
        "added: what the model is, and how busy",
    ),
    Difference(("models: one",), ("status 200 for 404",), "served, as OpenAI does; vLLM has none"),
    Difference(
        ("models: one that is none",),
        ("body.error", "body.detail"),
        "an error like all others, where vLLM's has another shape",
        ours=dict | Absent,
    ),
)
