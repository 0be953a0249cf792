"""What the simulated engine answers, in OpenAI's shapes of chats and completions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.messages import Job, Usage


@dataclass(frozen=True)
class Answer:
    """One of a job's answers, word by word, and why it ends."""

    words: list[str]
    finish_reason: str
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.words)


class Completions:
    """The payloads of a job of kind "completion"."""

    prefix, streamed, whole = "cmpl", "text_completion", "text_completion"

    def __init__(self, job: Job) -> None:
        self._head = {"id": f"{self.prefix}-{job.id}", "created": int(job.created), "model": job.model}
        options = job.body.get("stream_options")
        self.counted = isinstance(options, dict) and bool(options.get("include_usage"))

    def opening(self, answers: Sequence[Answer]) -> list[bytes]:
        """What comes before the first word."""
        return []

    def piece(self, place: int, text: str) -> bytes:
        """More of the answer in this place."""
        return self._payload(self.streamed, [self._choice(place, self._delta(text))])

    def end(self, place: int, answer: Answer) -> bytes:
        """Why the answer in this place has ended."""
        return self._payload(self.streamed, [self._choice(place, self._delta(""), answer)])

    def counts(self, usage: Usage) -> bytes:
        """The end of a stream, if it is `counted`."""
        return self._payload(self.streamed, [], usage=_usage(usage))

    def all(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """All answers at once."""
        choices = [self._choice(place, self._message(answer.text), answer) for place, answer in enumerate(answers)]
        return self._payload(self.whole, choices, usage=_usage(usage))

    def _delta(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _message(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _choice(self, place: int, said: dict[str, Any], ended: Answer | None = None) -> dict[str, Any]:
        why = {"finish_reason": ended and ended.finish_reason, "stop_reason": ended and ended.stop_reason}
        return {"index": place} | said | {"logprobs": None} | why

    def _payload(self, name: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return msgspec.json.encode(self._head | {"object": name, "choices": choices} | more)


class Chats(Completions):
    """The payloads of a job of kind "chat"."""

    prefix, streamed, whole = "chatcmpl", "chat.completion.chunk", "chat.completion"

    def opening(self, answers: Sequence[Answer]) -> list[bytes]:
        said = {"delta": {"role": "assistant", "content": ""}}
        return [self._payload(self.streamed, [self._choice(place, said)]) for place in range(len(answers))]

    def _delta(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text}}

    def _message(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }
