"""One Socket.IO client: its key, its prompts in their order, and what it is shown of the answers. Hops 1, 8."""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import gevent
from gevent.event import Event
from msgspec.structs import asdict

from gateway import metrics, request_id, views
from gateway.admission import Answer
from shared.errors import InvalidKey, InvalidRequest, QueueFull, RequestError
from shared.messages import Chunk

log = logging.getLogger(__name__)

END = "ENDOFMESSAGE"
FAILURE = "||AI ERROR||"
MOST_PROMPTS = 16  # of one connection, waiting for their turn
MOST_WAITING = 1_000_000  # characters of those prompts
NO_KEY = "No valid API key: send one with start_stream, or as the prompt's token."
MOST_TEXT = 2048  # bytes in one chunk, more or less

Begin = Callable[[str, "Connection"], AbstractContextManager[Answer]]
"""Begins the job that a client's JSON text asks for, or takes up one that was begun. Raises RequestError."""


class Connection:
    """One client on one namespace. `send` emits an event to it, and waits while it is behind."""

    def __init__(self, send: Callable[[str, Any], None], address: str = "") -> None:
        self.address = address
        self.wrong_keys = 0
        self._send = send
        self._key: str | None = None
        self._told = Event()
        self._asked: deque[tuple[Begin, str]] = deque()
        self._arrived = Event()
        self._refused = 0
        self._current: Answer | None = None
        self._done = Event()  # nothing is being answered
        self._done.set()
        self._greenlet: gevent.Greenlet | None = gevent.spawn(self._run)

    def authenticate(self, key: str | None) -> None:
        """Use this key, which is valid now, for prompts that have none. None: what the client sent is not valid,
        and there is nothing more to wait for."""
        self._key = key or self._key
        self._told.set()

    def key(self, wait: float) -> str:
        """The connection's key; waits so many seconds for a start_stream that is yet to come."""
        self._told.wait(wait)
        if self._key is None:
            raise InvalidKey(NO_KEY, param="token")
        return self._key

    def ask(self, begin: Begin, data: Any) -> None:
        """Take a prompt. From the first that finds no room on, all are refused until those before are answered:
        closing chunks come in the order of the prompts."""
        try:
            prompt = text(data)
        except RequestError as error:
            begin, prompt = _refusing(error), ""  # in its turn
        if self._refused or not self._has_room(prompt):
            self._refused += 1
        else:
            self._asked.append((begin, prompt))
        self._arrived.set()

    def leave(self, seconds: float) -> None:
        """The gateway stops. An answer that its client cannot take up elsewhere has so many seconds to end."""
        self._asked.clear()
        if self._current is None or not self._current.resumable:
            self._done.wait(seconds)
        self.close()

    def close(self) -> None:
        """The client has gone: what is being answered is cancelled, and nothing is kept."""
        greenlet, self._greenlet = self._greenlet, None
        self._asked.clear()
        if greenlet is not None:
            greenlet.kill()

    def _has_room(self, prompt: str) -> bool:
        waiting = sum(len(other) for _, other in self._asked)
        return not self._asked or (len(self._asked) < MOST_PROMPTS and waiting + len(prompt) <= MOST_WAITING)

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            while self._asked:
                self._answer()
            while self._refused and not self._asked:
                self._fail(QueueFull("Too many prompts of this connection wait already."))
                self._refused -= 1

    def _answer(self) -> None:
        """Answer the next prompt, a request of its own. Whatever goes wrong, the client is told."""
        request_id.begin()
        self._done.clear()
        try:
            with self._begin() as answer:
                self._current = answer
                self._show(answer)
                self._send("usage", _usage(answer))
            self._send("chunk", END)
        except RequestError as error:
            self._fail(error)
        except RecursionError:
            self._fail(InvalidRequest("the prompt is nested too deep"))
        except Exception:
            log.exception("a prompt failed")
            self._fail(RequestError("internal error"))
        finally:
            self._current = None
            self._done.set()

    def _begin(self) -> AbstractContextManager[Answer]:
        """Only here the next prompt's text is held: its answer may take long."""
        begin, prompt = self._asked.popleft()
        return begin(prompt, self)

    def _fail(self, error: RequestError) -> None:
        metrics.refused(error)
        self._send("error", error_event(error))
        self._send("chunk", FAILURE)

    def _show(self, answer: Answer) -> None:
        if answer.resumable:
            self._send("job", {"job": answer.job.id, "number": answer.number})
        for chunks in answer:
            if not chunks:
                self._show_place(answer)
            elif answer.job.kind == "image":
                self._show_images(chunks)
            elif answer.resumable:
                self._show_pieces(answer, chunks)
            else:
                for text in _texts(views.text(chunks)):
                    self._send("chunk", text)

    def _show_place(self, answer: Answer) -> None:
        if place := answer.place:
            self._send("waiting", place._asdict())

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
                self._send("image", asdict(picture))


def _refusing(error: RequestError) -> Begin:
    def begin(prompt: str, connection: Connection) -> AbstractContextManager[Answer]:
        raise error

    return begin


def text(data: Any) -> str:
    """What a client sent, as JSON text; an object is written out, so that both are read by the same rules."""
    if isinstance(data, dict):
        if "_placeholder" in data:  # Socket.IO's, for bytes that come separately
            raise InvalidRequest("prompt: should be a JSON text or an object, got bytes")
        return json.dumps(data)
    if not isinstance(data, str):
        raise InvalidRequest("prompt: should be a JSON text or an object")
    return data


def error_event(error: RequestError) -> dict[str, Any]:
    return asdict(error.failure()) | {"retry_after": error.retry_after}


def _texts(whole: str) -> Iterator[str]:
    """Text in chunks of a bounded size, none of which is one of the closing chunks."""
    # Socket.IO escapes what is not ASCII, in 6 or 12 bytes.
    size = MOST_TEXT if whole.isascii() else MOST_TEXT // 6
    for start in range(0, len(whole), size):
        piece = whole[start : start + size]
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
    return {"id": answer.job.id, "model": answer.job.model, "finish_reason": end.finish_reason} | asdict(end.usage)
