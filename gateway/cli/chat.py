"""`crofai chat`: talk to a model in the terminal. The answer goes to stdout, its figures to stderr."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import typer

from gateway.cli import api
from gateway.cli.failures import CommandFailed
from shared.errors import CrofError
from shared.settings import load_settings

ANSWER_TIMEOUT = 600.0  # seconds between two pieces; the first may wait in the queue

Messages = list[dict[str, str]]


def chat(
    model: Annotated[str, typer.Argument(help="A name or alias; see: crofai models")],
    once: Annotated[str | None, typer.Option(metavar="PROMPT", help="Ask this, print the answer, end.")] = None,
    url: api.Url = None,
    key: Annotated[
        str | None, typer.Option(envvar="CROFAI_KEY", help="The API key; default: this machine's demo key.")
    ] = None,
) -> None:
    """Chat with a model. Ctrl-C stops an answer, Ctrl-D ends."""
    settings = load_settings()
    base, secret = url or api.base_url(settings), api.find_key(key, settings)
    with api.client(base, secret, read_timeout=ANSWER_TIMEOUT) as client:
        conversation = Conversation(client, model)
        if once is not None:
            if not once.strip():
                raise CommandFailed("--once: should be a question, got nothing")
            conversation.ask(once)
        else:
            _converse(conversation)


class Conversation:
    """The turns so far, and the model that answers them."""

    def __init__(self, client: httpx.Client, model: str) -> None:
        self._client = client
        self._model = model
        self._turns: Messages = []

    def ask(self, text: str) -> None:
        """Send one more turn and print the answer as it comes. An answer that fails leaves no turn behind."""
        # What a terminal or a pipe gives may be no text at all; JSON takes text only.
        text = text.encode(errors="replace").decode()
        turns = [*self._turns, {"role": "user", "content": text}]
        watch, answer = Stopwatch(time.monotonic()), ""
        try:
            with api.plain_errors(self._client.base_url):
                for piece in self._answer(turns, watch):
                    watch.saw(time.monotonic())
                    answer += piece
                    print(piece, end="", flush=True)
        finally:
            if answer:
                print(flush=True)
        self._turns = [*turns, {"role": "assistant", "content": answer}]
        print(watch, file=sys.stderr)

    def _answer(self, turns: Messages, watch: "Stopwatch") -> Iterator[str]:
        body = {"model": self._model, "messages": turns, "stream": True, "stream_options": {"include_usage": True}}
        with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
            api.check(response)
            for event in _events(response):
                if "error" in event:
                    api.fail(event["error"])
                if usage := event.get("usage"):
                    watch.tokens = usage["completion_tokens"]
                for choice in event.get("choices", []):
                    if text := choice["delta"].get("content"):
                        yield text


@dataclass
class Stopwatch:
    """Measures an answer: TTFT from the request on, the rate between first and last token. In seconds."""

    asked: float
    first: float | None = None
    last: float = 0.0
    pieces: int = 0
    tokens: int = 0

    def saw(self, now: float) -> None:
        self.first = now if self.first is None else self.first
        self.last = now
        self.pieces += 1

    def __str__(self) -> str:
        if self.first is None:
            return "(no text)"
        tokens = self.tokens or self.pieces
        span = self.last - self.first
        rate = f"{(tokens - 1) / span:.1f} tokens/s, " if span > 0 and tokens > 1 else ""
        return f"({tokens} tokens, {rate}first after {self.first - self.asked:.2f} s)"


def _converse(conversation: Conversation) -> None:
    """Ask what the user types, until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  gives input() line editing and history
    prompt = "> " if sys.stdin.isatty() and sys.stdout.isatty() else ""
    while True:
        try:
            text = input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            if prompt:
                print()
            return
        if not text:
            continue
        try:
            conversation.ask(text)
        except KeyboardInterrupt:
            # Leaving the stream has closed the connection, which cancels the job.
            print("(stopped)", file=sys.stderr)
        except CrofError as error:
            if not sys.stdin.isatty():
                raise
            print(f"crofai: {error}", file=sys.stderr)


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The data of a stream's server-sent events, to its end mark."""
    for line in response.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data:"):
            try:
                yield json.loads(line.removeprefix("data:"))
            except ValueError:
                raise CommandFailed(
                    f"{response.url}: the stream holds something else than JSON: {line[:80]}"
                ) from None
