"""The seed's Socket.IO dialect, on the namespaces / and /stream. Hops 1 and 8.

A client sends `start_stream` with its key and `prompt` with a JSON text or an object, in either order. It gets
`chunk` events with plain text, then the chunk ENDOFMESSAGE, or the chunk ||AI ERROR|| on failure. Newer clients
also get `usage` and `error`, and `progress` and `image` from image models, each before the closing chunk; and
`waiting` about once a second, with `position` and, if they can be told, `seconds`, while the job waits.
Prompts of one connection are answered one after the other, because chunks do not say which they belong to.

What is no prompt has no answer to close: a wrong key in `start_stream`, a `cancel` that fails, and what ends the
connection are an `error` alone. A prompt that has no other key then fails as all prompts do, with both.

A prompt with `resume_within` (seconds) gets `job` with the job's id first, and then `piece` in place of `chunk`:
the id, a number and the text. Who was cut off sends `resume` with `job` and the last `number` it has, over any
connection to any gateway, and gets the rest. `cancel` with `job` ends a job.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import gevent
from flask import request
from flask_socketio import Namespace, SocketIO

from gateway import metrics, scopes
from gateway.addresses import client_address
from gateway.admission import MOST_GRACE, Admission, Answer, Client
from gateway.auth import Keyring
from gateway.bodies import model_name, parse_json, socket_body
from gateway.connection import NO_KEY, Connection, error_event, text
from shared.accounts import Holder
from shared.catalog import Catalog
from shared.errors import InvalidKey, InvalidRequest, RequestError, TooManyWrongKeys
from shared.tiers import Tiers

MOST_PACKETS = 4  # waiting for one slow client; the rest of its answer waits in the job's log
MOST_WRONG_KEYS = 5  # then the connection is closed
LAST_WORDS = 1.0  # seconds that a client has to read what it was sent before the gateway ended
KEY_WAIT = 10.0  # seconds a prompt without a key waits for start_stream


class StreamNamespace(Namespace):
    """One of the namespaces; both are alike, because clients disagree on what a URL's path means."""

    def __init__(
        self,
        name: str,
        socketio: SocketIO,
        catalog: Catalog,
        tiers: Tiers,
        keyring: Keyring,
        admission: Admission,
    ) -> None:
        super().__init__(name)
        self._io = socketio
        self._catalog = catalog
        self._tiers = tiers
        self._keyring = keyring
        self._admission = admission
        self._connections: dict[str, Connection] = {}

    # The handlers run in the greenlet that reads from the client. They must not wait for the client to read.

    def on_connect(self, auth: Any = None) -> None:
        sid = _sid()
        self._connections[sid] = Connection(partial(self._send, sid), client_address(request.environ))

    def on_disconnect(self, reason: Any = None) -> None:
        if connection := self._connections.pop(_sid(), None):
            gevent.spawn(connection.close)

    def on_start_stream(self, key: Any = None, *_: Any) -> None:
        self._at_once(lambda connection: self._authenticate(connection, key))

    def on_prompt(self, data: Any = None, *_: Any) -> None:
        if connection := self._connections.get(_sid()):
            connection.ask(self._submit, data)

    def on_resume(self, data: Any = None, *_: Any) -> None:
        if connection := self._connections.get(_sid()):
            connection.ask(self._resume, data)

    def on_cancel(self, data: Any = None, *_: Any) -> None:
        self._at_once(lambda connection: self._cancel(data, connection))

    def leave(self, seconds: float) -> None:
        """The gateway stops: end every connection, at once or when its answer has ended, in so many seconds."""
        gevent.joinall([gevent.spawn(self._leave, sid, each, seconds) for sid, each in self._connections.items()])

    def _leave(self, sid: str, connection: Connection, seconds: float) -> None:
        connection.leave(seconds)
        if socket := self._socket(sid):
            socket.queue.join(timeout=LAST_WORDS)
        self._hang_up(sid)

    def _authenticate(self, connection: Connection, key: Any) -> None:
        try:
            self._holder(key, connection)
        except (InvalidKey, TooManyWrongKeys):
            connection.authenticate(None)
            raise
        connection.authenticate(key)

    def _submit(self, data: str, connection: Connection) -> AbstractContextManager[Answer]:
        fields, holder = self._read(data, connection, KEY_WAIT)
        model = self._catalog.find(model_name(fields.pop("model", None)))
        tier = scopes.usual_tier(holder, self._tiers)
        scopes.check(holder, self._tiers, tier, model)
        client = Client(grace=_whole(fields, "resume_within", MOST_GRACE))
        body = scopes.bounded(self._tiers, tier, model, socket_body(model, fields))
        return self._admission.submit(holder, tier, model, body, client)

    def _resume(self, data: str, connection: Connection) -> AbstractContextManager[Answer]:
        fields, holder = self._read(data, connection, KEY_WAIT)
        client = Client(grace=_whole(fields, "resume_within", MOST_GRACE) or MOST_GRACE)
        return self._admission.resume(holder, _job(fields), _whole(fields, "number", 10**9), client)

    def _cancel(self, data: Any, connection: Connection) -> None:
        fields, holder = self._read(text(data), connection, wait=0)
        self._admission.cancel(self._admission.find(holder, _job(fields)))

    def _read(self, data: str, connection: Connection, wait: float) -> tuple[dict[str, Any], Holder]:
        """What a client sent, and who it is."""
        fields = parse_json(data)
        key = fields.pop("token", None)
        return fields, self._holder(connection.key(wait) if key is None else key, connection)

    def _holder(self, key: Any, connection: Connection) -> Holder:
        if not isinstance(key, str) or not key:
            raise InvalidKey(NO_KEY, param="token")
        return self._keyring.holder(key, connection.address)

    def _at_once(self, do: Callable[[Connection], None]) -> None:
        """Do what needs no turn. Who is wrong too often is cut off."""
        if (connection := self._connections.get(_sid())) is None:
            return
        try:
            do(connection)
        except RequestError as error:
            metrics.refused(error)
            self._io.emit("error", error_event(error), to=_sid(), namespace=self.namespace)
            connection.wrong_keys += isinstance(error, InvalidKey | TooManyWrongKeys)
            if connection.wrong_keys >= MOST_WRONG_KEYS:
                self._hang_up(_sid())

    def _send(self, sid: str, event: str, data: Any) -> None:
        """Emit once the client is no longer behind: nothing piles up here for a slow reader."""
        socket = self._socket(sid)
        while socket is not None and not socket.closed and socket.queue.qsize() >= MOST_PACKETS:
            socket.queue.join(timeout=5)
        self._io.emit(event, data, to=sid, namespace=self.namespace)

    def _socket(self, sid: str) -> Any:
        """The transport below a connection, or None if it is gone."""
        server = self._io.server
        return server.eio.sockets.get(server.manager.eio_sid_from_sid(sid, self.namespace))

    def _hang_up(self, sid: str) -> None:
        if socket := self._socket(sid):
            socket.close(wait=False, abort=True, reason=self._io.server.reason.SERVER_DISCONNECT)


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]


def _job(fields: dict[str, Any]) -> str:
    job = fields.get("job")
    if not isinstance(job, str):
        raise InvalidRequest("job: should be the id of a job, as the event `job` told it", param="job")
    return job


def _whole(fields: dict[str, Any], name: str, most: int) -> int:
    """A field that counts something; 0 if it is not there."""
    value = fields.pop(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidRequest(f"{name}: should be a whole number from 0 to {most}", param=name)
    return value
