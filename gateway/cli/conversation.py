"""A conversation with a model: its turns, and one answer after the other."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.cli.failures import CommandFailed
from gateway.cli.following import follow
from gateway.cli.jobstream import JobStream
from gateway.cli.teller import Teller

PATH = "/v1/chat/completions"
COMMAND = "crofai chat --resume"
CUT_OFF = " cut off: the limit of tokens is reached"


class Conversation:
    """The turns so far, and the model that answers them. `parameters` are the API's; None is left out."""

    def __init__(
        self, client: httpx.Client, teller: Teller, *, system: str | None, parameters: dict[str, Any]
    ) -> None:
        self.model = ""
        self.system = system
        self.turns: list[dict[str, str]] = []
        self._client = client
        self._teller = teller
        self._parameters = {name: value for name, value in parameters.items() if value is not None}

    @property
    def messages(self) -> list[dict[str, str]]:
        return ([{"role": "system", "content": self.system}] if self.system else []) + self.turns

    def ask(self, text: str) -> None:
        """Send one more turn and tell the answer as it comes. One that fails before its first word leaves no turn
        behind. Raises CommandFailed, and Stopped."""
        question = {"role": "user", "content": text}
        body = {
            "model": self.model,
            "messages": [*self.messages, question],
            **self._parameters,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        answer = Answer(Stopwatch(time.monotonic()), self._teller)
        try:
            self._follow(JobStream(self._client, PATH, body), answer)
        finally:
            if answer.text:
                self.turns += [question, {"role": "assistant", "content": answer.text}]

    def resume(self, job: str) -> None:
        """Tell the answer of a job, from its beginning."""
        self._follow(JobStream(self._client, job=job), Answer(Stopwatch(None), self._teller))

    def _follow(self, stream: JobStream, answer: "Answer") -> None:
        follow(stream, self._teller, answer, COMMAND)
        self._teller.done(answer.figures, job=stream.job, **answer.facts())


@dataclass
class Stopwatch:
    """Measures an answer: TTFT from the request on, the rate between first and last token. In seconds.

    `asked` is None if that was long ago; what comes after a break comes in one go, and tells nothing of the speed.
    """

    asked: float | None
    first: float | None = None
    last: float = 0.0
    pieces: int = 0
    tokens: int | None = None
    broken: bool = False

    def saw(self, now: float) -> None:
        self.first = now if self.first is None else self.first
        self.last = now
        self.pieces += 1

    @property
    def ttft(self) -> float | None:
        return None if self.first is None or self.asked is None else self.first - self.asked

    @property
    def rate(self) -> float | None:
        """Tokens per second."""
        span = self.last - (self.first or 0.0)
        tokens = self.tokens or self.pieces
        known = self.asked is not None and not self.broken and span > 0 and tokens > 1
        return (tokens - 1) / span if known else None

    def __str__(self) -> str:
        rate = "" if self.rate is None else f", {self.rate:.1f} tokens/s"
        first = "" if self.ttft is None else f", first after {self.ttft:.2f} s"
        tokens = self.tokens or self.pieces
        return f"({tokens} token{'' if tokens == 1 else 's'}{rate}{first})"


class Answer:
    """What has come of one answer; its teller is told as it comes."""

    def __init__(self, watch: Stopwatch, teller: Teller) -> None:
        self.text = ""
        self._watch = watch
        self._teller = teller
        self._thought = ""
        self._model: str | None = None
        self._reason: str | None = None
        self._usage: dict[str, Any] | None = None

    def take(self, data: dict[str, Any]) -> None:
        """One of the API's chunks. Raises CommandFailed if it is none."""
        choices = data.get("choices")
        if not isinstance(choices, list):
            raise CommandFailed(
                "this is no chat's answer. If it is the job of an image: crofai image --resume JOB"
            )
        self._model = data.get("model") or self._model
        if usage := data.get("usage"):
            self._usage, self._watch.tokens = usage, usage.get("completion_tokens")
        for choice in choices:
            if choice.get("index", 0) == 0:  # of several answers, the first
                self._hear(choice)
                self._reason = choice.get("finish_reason") or self._reason

    def broke(self) -> None:
        """The connection did."""
        self._watch.broken = True

    def facts(self) -> dict[str, Any]:
        """For programs."""
        speed = {"ttft_seconds": self._watch.ttft, "tokens_per_second": self._watch.rate}
        return {
            "model": self._model,
            "text": self.text,
            "reasoning": self._thought or None,
            "finish_reason": self._reason,
            "usage": self._usage,
            **{name: value and round(value, 3) for name, value in speed.items()},
        }

    @property
    def figures(self) -> str:
        """For people."""
        return f"{self._watch}{CUT_OFF if self._reason == 'length' else ''}"

    def _hear(self, choice: dict[str, Any]) -> None:
        # A job that is resumed may have been asked for as a whole, or as a completion.
        said = choice.get("delta") or choice.get("message") or {}
        thought = said.get("reasoning") or said.get("reasoning_content") or ""
        text = said.get("content") or choice.get("text") or ""
        if thought or text:
            self._watch.saw(time.monotonic())
        if thought:
            self._thought += thought
            self._teller.thought(thought)
        if text:
            self.text += text
            self._teller.text(text)
