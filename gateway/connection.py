"""One Socket.IO client: its key, its prompts in their order, and what it is shown of the answers. Hops 1, 8."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Queue

from gateway import views
from gateway.admission import Answer
from shared.accounts import Holder
from shared.errors import InvalidKey, QueueFull, RequestError
from shared.messages import Chunk

log = logging.getLogger(__name__)

END = "ENDOFMESSAGE"
FAILURE = "||AI ERROR||"
MOST_PROMPTS = 16  # of one connection, waiting for their turn
MOST_TEXT = 2048  # characters in one chunk

Begin = Callable[["Connection"], AbstractContextManager[Answer]]
"""What a client asks for: begins the job, or takes up one that was begun. Raises RequestError."""


class Connection:
    """One client on one namespace. `send` emits an event to it, and waits while it is behind."""

    def __init__(self, send: Callable[[str, Any], None]) -> None:
        self.wrong_keys = 0
        self._send = send
        self._holder: Holder | None = None
        self._authenticated = Event()
        self._asked: Queue = Queue(maxsize=MOST_PROMPTS)
        self._refused = 0
        self._greenlet = gevent.spawn(self._run)

    def authenticate(self, holder: Holder) -> None:
        self._holder = holder
        self._authenticated.set()

    def holder(self, wait: float) -> Holder:
        """Who authenticated this connection; waits so many seconds for a start_stream that is yet to come."""
        self._authenticated.wait(wait)
        if self._holder is None:
            raise InvalidKey("No API key: send it with start_stream, or as the prompt's token.", param="token")
        return self._holder

    def ask(self, begin: Begin) -> None:
        """Take a prompt. From the first that finds no room on, all are refused until those before are answered:
        closing chunks come in the order of the prompts."""
        if self._refused or self._asked.full():
            self._refused += 1
        else:
            self._asked.put_nowait(begin)

    def close(self) -> None:
        """The client has gone: what is being answered is cancelled."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            self._answer(self._asked.get())
            while self._refused and self._asked.empty():
                self._fail(QueueFull(f"{MOST_PROMPTS} prompts of this connection waited already."))
                self._refused -= 1

    def _answer(self, begin: Begin) -> None:
        """Answer one prompt. Whatever goes wrong, the client is told."""
        try:
            with begin(self) as answer:
                self._show(answer)
                self._send("usage", _usage(answer))
            self._send("chunk", END)
        except RequestError as error:
            self._fail(error)
        except Exception:
            log.exception("a prompt failed")
            self._fail(RequestError("internal error"))

    def _fail(self, error: RequestError) -> None:
        self._send("error", error_event(error))
        self._send("chunk", FAILURE)

    def _show(self, answer: Answer) -> None:
        if answer.resumable:
            self._send("job", {"job": answer.job.id, "number": answer.number})
        for chunks in answer:
            if answer.job.kind == "image":
                self._show_images(chunks)
            elif answer.resumable:
                self._show_pieces(answer, chunks)
            else:
                for text in _texts(views.text(chunks)):
                    self._send("chunk", text)

    def _show_pieces(self, answer: Answer, chunks: list[Chunk]) -> None:
        """Whole chunks: what has a number is complete up to it."""
        first = answer.number - len(chunks) + 1
        for some, last in _bundles(chunks, first):
            if text := views.text(some):
                self._send("piece", {"job": answer.job.id, "number": last, "text": text})

    def _show_images(self, chunks: list[Chunk]) -> None:
        for image in views.images(chunks):
            if image.steps:
                self._send("progress", {"step": image.step, "steps": image.steps})
            for picture in image.data:
                self._send("image", {"b64_json": picture.b64_json, "seed": picture.seed})


def error_event(error: RequestError) -> dict[str, Any]:
    failure = error.failure()
    return {"code": failure.code, "message": failure.message, "param": failure.param, "status": failure.status}


def _texts(text: str) -> Iterator[str]:
    """Text in chunks of a bounded size, none of which is one of the closing chunks."""
    for start in range(0, len(text), MOST_TEXT):
        piece = text[start : start + MOST_TEXT]
        yield from (piece[:3], piece[3:]) if piece in (END, FAILURE) else (piece,)


def _bundles(chunks: list[Chunk], first: int) -> Iterator[tuple[list[Chunk], int]]:
    """Consecutive chunks of about MOST_TEXT bytes together, with the number of the last."""
    some: list[Chunk] = []
    size = 0
    for number, chunk in enumerate(chunks, first):
        some.append(chunk)
        size += len(bytes(chunk.payload))
        if size >= MOST_TEXT:
            yield some, number
            some, size = [], 0
    if some:
        yield some, first + len(chunks) - 1


def _usage(answer: Answer) -> dict[str, Any]:
    end = answer.end
    assert end is not None, "usage is told after the end"
    return {
        "id": answer.job.id,
        "model": answer.job.model,
        "prompt_tokens": end.usage.prompt_tokens,
        "completion_tokens": end.usage.completion_tokens,
        "image_steps": end.usage.image_steps,
        "finish_reason": end.finish_reason,
    }
