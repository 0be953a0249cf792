"""Engine.IO's requests, looked at before Engine.IO sees them: what it would drop, heap up or log is refused here.

It drops a POST that it cannot read with a bare 400 or a traceback, and the client's packets with it. Here the
client is told why, in the POST's answer and by an `error` event, and its session ends: packets are missing in it.
"""

import io
import logging
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import gevent
from engineio.exceptions import EngineIOError
from engineio.packet import CLOSE, MESSAGE, PONG, UPGRADE, Packet
from engineio.payload import Payload
from flask_socketio import SocketIO
from msgspec.structs import asdict

from gateway.api.errors import error_json, retry_headers
from shared.errors import BodyTooLarge, InvalidRequest, RequestError, TooManyClients

log = logging.getLogger(__name__)

MOST_SESSIONS = 10_000
FAREWELL = 5.0  # seconds a client has to fetch what it is told at the end


class Gate:
    """Stands before Engine.IO's `handle_request`. `most_bytes` bounds a POST, `most_packets` its packets."""

    def __init__(self, socketio: SocketIO, *, most_bytes: int, most_packets: int) -> None:
        self._socketio = socketio
        self._engine = socketio.server.eio
        self._handle = self._engine.handle_request
        self._most_bytes = most_bytes
        self._most_packets = most_packets

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        session = self._session(query.get("sid", [""])[0])
        refuse = partial(self._refuse, environ, start_response)
        if "sid" not in query and len(self._engine.sockets) >= MOST_SESSIONS:
            return refuse(TooManyClients())
        if websocket := environ.get("wsgi.websocket"):
            if "sid" in query and not session:
                websocket.close(1008, "there is no such session: connect anew")
                return []
        elif query.get("transport") == ["websocket"]:
            return refuse(
                InvalidRequest("transport: a websocket was asked for, but not by a websocket's handshake")
            )
        if environ["REQUEST_METHOD"] == "POST":
            try:
                environ |= self._taken(environ)
            except RequestError as error:
                if session:
                    self.dismiss(session, error)
                return refuse(error)
        answer: Iterable[bytes] = self._handle(environ, start_response)
        return answer

    def dismiss(self, session: Any, error: RequestError) -> None:
        """Tell a client why its session ends, and end it once the client has that. Does not wait."""
        if session.closed:
            return
        log.debug("a Socket.IO client is dismissed: %s", error.code)
        manager = self._socketio.server.manager
        for namespace in list(manager.get_namespaces()):
            if sid := manager.sid_from_eio_sid(session.sid, namespace):
                self._socketio.emit("error", asdict(error.failure()), to=sid, namespace=namespace)
        try:
            session.send(Packet(CLOSE))
        except EngineIOError:
            return
        gevent.spawn(_end, session)

    def _session(self, sid: str) -> Any:
        """The open session of this id, or None. One that is closed makes Engine.IO raise: it is forgotten."""
        session = self._engine.sockets.get(sid)
        if session and session.closed:
            del self._engine.sockets[sid]
            return None
        return session

    def _taken(self, environ: dict[str, Any]) -> dict[str, Any]:
        """A POST's body, read and looked at, as it is for Engine.IO. Raises RequestError."""
        too_large = BodyTooLarge(f"A Socket.IO client's POST may have {self._most_bytes} bytes.")
        if int(environ.get("CONTENT_LENGTH") or 0) > self._most_bytes:
            raise too_large
        body = environ["wsgi.input"].read(self._most_bytes + 1)
        if len(body) > self._most_bytes:
            raise too_large
        self._check(body)
        return {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}

    def _check(self, body: bytes) -> None:
        if (count := body.count(b"\x1e") + 1) > self._most_packets:
            raise InvalidRequest(f"A POST may have {self._most_packets} packets, got {count}: send fewer at once.")
        try:
            packets = Payload(encoded_payload=body.decode()).packets
        except (ValueError, LookupError, RecursionError):
            raise InvalidRequest("The body should be Engine.IO's packets, as UTF-8.") from None
        if odd := [packet for packet in packets if packet.packet_type not in (CLOSE, PONG, MESSAGE, UPGRADE)]:
            raise InvalidRequest(f"Clients send no Engine.IO packets of type {odd[0].packet_type}.")

    def _refuse(self, environ: dict[str, Any], start_response: Any, error: RequestError) -> Iterable[bytes]:
        status = HTTPStatus(error.status)
        headers = [("Content-Type", "application/json"), *retry_headers(error).items()]
        start_response(f"{status.value} {status.phrase}", [*headers, *self._engine._cors_headers(environ)])
        return [error_json(error)]


def _end(session: Any) -> None:
    session.queue.join(FAREWELL)
    session.close(wait=False, abort=True, reason=session.server.reason.SERVER_DISCONNECT)
