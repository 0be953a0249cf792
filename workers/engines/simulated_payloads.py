"""What the simulated engine answers, in OpenAI's shapes of chats and completions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.messages import Job, Usage


@dataclass(frozen=True)
class Answer:
    """One of a job's answers, word by word, to a prompt of so many tokens, and why it ends."""

    words: list[str]
    finish_reason: str
    stop_reason: str | None
    prompt_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.words)


class Completions:
    """The payloads of a job of kind "completion", which has these answers."""

    prefix, streamed, whole = "cmpl", "text_completion", "text_completion"

    def __init__(self, job: Job, answers: Sequence[Answer]) -> None:
        self._head = {"id": f"{self.prefix}-{job.id}", "created": int(job.created), "model": job.model}
        self._answers = answers
        self._said = [0] * len(answers)  # words
        options = job.body.get("stream_options") or {}
        self.counted = bool(options.get("include_usage"))
        self._counted_as_it_comes = self.counted and bool(options.get("continuous_usage_stats"))

    def opening(self) -> list[bytes]:
        """What comes before the first word."""
        return []

    def piece(self, place: int, text: str) -> bytes:
        """Another word of the answer in this place."""
        self._said[place] += 1
        return self._part(place, self._delta(text))

    def ends(self) -> list[bytes]:
        """Why each of the answers has ended."""
        return [self._part(place, self._delta(""), answer) for place, answer in enumerate(self._answers)]

    def counts(self, usage: Usage) -> bytes:
        """The end of a stream, if it is `counted`."""
        return self._payload(self.streamed, [], usage=_usage(usage))

    def all(self, usage: Usage) -> bytes:
        """All answers at once."""
        told = enumerate(self._answers)
        choices = [self._choice(place, self._message(answer.text), answer) for place, answer in told]
        return self._payload(self.whole, choices, usage=_usage(usage))

    def _part(self, place: int, said: dict[str, Any], ended: Answer | None = None) -> bytes:
        """With the tokens of the answer so far, if they are asked for."""
        choices = [self._choice(place, said, ended)]
        if not self._counted_as_it_comes:
            return self._payload(self.streamed, choices)
        usage = Usage(prompt_tokens=self._answers[place].prompt_tokens, completion_tokens=self._said[place])
        return self._payload(self.streamed, choices, usage=_usage(usage))

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

    def opening(self) -> list[bytes]:
        said = {"delta": {"role": "assistant", "content": ""}}
        return [self._part(place, said) for place in range(len(self._answers))]

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
