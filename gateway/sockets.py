"""The seed's Socket.IO dialect, on the namespaces / and /stream. Hops 1 and 8.

A client sends `start_stream` with its key and `prompt` with a JSON text or an object, in either order. It gets
`chunk` events with plain text, then the chunk ENDOFMESSAGE, or the chunk ||AI ERROR|| on failure. Newer clients
also get `usage` and `error`, and `progress` and `image` from image models, each before the closing chunk.
Prompts of one connection are answered one after the other, because chunks do not say which they belong to.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

import gevent
from flask import request
from flask_socketio import Namespace, SocketIO
from gevent.event import Event
from gevent.queue import Full, JoinableQueue, Queue

from gateway import views
from gateway.admission import Admission, Answer
from gateway.auth import Keyring
from gateway.bodies import parse_json, socket_body
from shared.accounts import Holder
from shared.catalog import Catalog
from shared.errors import InvalidKey, InvalidRequest, QueueFull, RequestError
from shared.messages import Chunk

log = logging.getLogger(__name__)

END = "ENDOFMESSAGE"
FAILURE = "||AI ERROR||"
MOST_PROMPTS = 16  # of one connection, waiting for their turn
MOST_PACKETS = 4  # waiting for one slow client; the rest of its answer waits in the job's log
MOST_PENDING = 64  # waiting for one client, with what is said of itself: pings, errors, acknowledgements
MOST_TEXT = 2048  # characters in one chunk
MOST_WRONG_KEYS = 5  # then the connection is closed
KEY_WAIT = 10.0  # seconds a prompt without a key waits for start_stream


class PacketQueue(JoinableQueue):
    """What waits for one client, in place of engine.io's own queue, which has no bound."""

    def put(self, item: Any, *args: Any, **kwargs: Any) -> None:
        """Never waits. Raises Full, which ends the connection, when a client makes us say more than it reads."""
        if item is not None and self.qsize() >= MOST_PENDING:
            raise Full
        super().put(item, *args, **kwargs)


class StreamNamespace(Namespace):
    """One of the namespaces; both are alike, because clients disagree on what a URL's path means."""

    def __init__(
        self, name: str, socketio: SocketIO, catalog: Catalog, keyring: Keyring, admission: Admission
    ) -> None:
        super().__init__(name)
        self._io = socketio
        self._catalog = catalog
        self._keyring = keyring
        self._admission = admission
        self._connections: dict[str, Connection] = {}

    # The handlers run in the greenlet that reads from the client. They must not wait for the client to read.

    def on_connect(self, auth: Any = None) -> None:
        sid = _sid()
        self._connections[sid] = Connection(self, sid)

    def on_disconnect(self, reason: Any = None) -> None:
        if connection := self._connections.pop(_sid(), None):
            gevent.spawn(connection.close)

    def on_start_stream(self, key: Any = None, *_: Any) -> None:
        if (connection := self._connections.get(_sid())) is None:
            return
        try:
            connection.authenticate(self._keyring.holder(key))
        except RequestError as error:
            self._io.emit("error", _error(error), to=_sid(), namespace=self.namespace)
            connection.wrong_keys += 1
            if connection.wrong_keys >= MOST_WRONG_KEYS:
                self._hang_up(_sid())

    def on_prompt(self, data: Any = None, *_: Any) -> None:
        if connection := self._connections.get(_sid()):
            connection.ask(data)

    def answer(self, connection: "Connection", data: Any) -> None:
        """Answer one prompt. Whatever goes wrong, the client is told."""
        try:
            fields = parse_json(_text(data))
            holder = self._holder(connection, fields.pop("token", None))
            model = self._catalog.find(_name(fields.pop("model", None)))
            body = socket_body(model, fields)
            with self._admission.submit(holder, holder.tier, model, body) as answer:
                show = connection.show_images if model.kind == "image" else connection.show_text
                for chunks in answer:
                    show(chunks)
                connection.emit("usage", _usage(answer))
            connection.emit("chunk", END)
        except RequestError as error:
            connection.fail(error)
        except Exception:
            log.exception("a prompt failed")
            connection.fail(RequestError("internal error"))

    def send(self, sid: str, event: str, data: Any) -> None:
        """Emit once the client is no longer behind: nothing piles up here for a slow reader."""
        socket = self._socket(sid)
        while socket is not None and not socket.closed and socket.queue.qsize() >= MOST_PACKETS:
            socket.queue.join(timeout=5)
        self._io.emit(event, data, to=sid, namespace=self.namespace)

    def leave(self) -> None:
        """The gateway stops: end every answer, which cancels its job."""
        gevent.joinall([gevent.spawn(connection.close) for connection in self._connections.values()], timeout=5)

    def _holder(self, connection: "Connection", key: Any) -> Holder:
        if key is not None:
            return self._keyring.holder(key)
        return connection.holder()

    def _socket(self, sid: str) -> Any:
        """The transport below a connection, or None if it is gone."""
        server = self._io.server
        return server.eio.sockets.get(server.manager.eio_sid_from_sid(sid, self.namespace))

    def _hang_up(self, sid: str) -> None:
        if socket := self._socket(sid):
            socket.close(wait=False, reason=self._io.server.reason.SERVER_DISCONNECT)


class Connection:
    """One client on one namespace."""

    def __init__(self, namespace: StreamNamespace, sid: str) -> None:
        self.wrong_keys = 0
        self._namespace = namespace
        self._sid = sid
        self._holder: Holder | None = None
        self._authenticated = Event()
        self._prompts: Queue = Queue(maxsize=MOST_PROMPTS)
        self._refused = 0
        self._greenlet = gevent.spawn(self._run)

    def authenticate(self, holder: Holder) -> None:
        self._holder = holder
        self._authenticated.set()

    def holder(self) -> Holder:
        """Who authenticated this connection; waits a little for a start_stream that comes after its prompt."""
        self._authenticated.wait(KEY_WAIT)
        if self._holder is None:
            raise InvalidKey("No API key: send it with start_stream, or as the prompt's token.", param="token")
        return self._holder

    def ask(self, data: Any) -> None:
        """Take a prompt. From the first that finds no room on, all are refused until those before are answered:
        closing chunks come in the order of the prompts."""
        if self._refused or self._prompts.full():
            self._refused += 1
        else:
            self._prompts.put_nowait(data)

    def close(self) -> None:
        """The client has gone: what is being answered is cancelled."""
        self._greenlet.kill()

    def emit(self, event: str, data: Any) -> None:
        self._namespace.send(self._sid, event, data)

    def fail(self, error: RequestError) -> None:
        self.emit("error", _error(error))
        self.emit("chunk", FAILURE)

    def show_text(self, chunks: list[Chunk]) -> None:
        for text in _texts(views.text(chunks)):
            self.emit("chunk", text)

    def show_images(self, chunks: list[Chunk]) -> None:
        for image in views.images(chunks):
            if image.steps:
                self.emit("progress", {"step": image.step, "steps": image.steps})
            for picture in image.data:
                self.emit("image", {"b64_json": picture.b64_json, "seed": picture.seed})

    def _run(self) -> None:
        while True:
            self._namespace.answer(self, self._prompts.get())
            while self._refused and self._prompts.empty():
                self.fail(QueueFull(f"{MOST_PROMPTS} prompts of this connection waited already."))
                self._refused -= 1


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]


def _texts(text: str) -> Iterator[str]:
    """Text in chunks of a bounded size, none of which is one of the closing chunks."""
    for start in range(0, len(text), MOST_TEXT):
        piece = text[start : start + MOST_TEXT]
        yield from (piece[:3], piece[3:]) if piece in (END, FAILURE) else (piece,)


def _text(data: Any) -> str:
    """The prompt as JSON text; an object is written out, so that both are read by the same rules."""
    if isinstance(data, dict):
        try:
            return json.dumps(data)
        except TypeError:
            raise InvalidRequest("prompt: should hold texts and numbers, not binary data") from None
    if not isinstance(data, str):
        raise InvalidRequest("prompt: should be a JSON text or an object")
    return data


def _name(model: Any) -> str:
    if not isinstance(model, str):
        raise InvalidRequest("model: should be the name of a model; see /v1/models", param="model")
    return model


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


def _error(error: RequestError) -> dict[str, Any]:
    failure = error.failure()
    return {"code": failure.code, "message": failure.message, "param": failure.param, "status": failure.status}
