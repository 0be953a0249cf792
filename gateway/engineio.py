"""Engine.IO and Socket.IO as this gateway runs them: what clients can make them hold has bounds.

The libraries below Flask-SocketIO have no bound on what waits for a client, on sessions, or on the parts of a
binary message; what a client sends can make them raise, and log a traceback, and a websocket that ends by such an
error leaves its session behind. All of this is set right here and in polling.py, by the hooks that they have.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from engineio.async_drivers import gevent as driver
from engineio.payload import Payload
from flask import Flask
from flask_socketio import SocketIO
from gevent.queue import JoinableQueue
from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, DISCONNECT, EVENT, Packet

from gateway.polling import Gate
from shared.errors import BodyTooLarge, RequestError
from shared.settings import Settings

log = logging.getLogger(__name__)

MOST_PENDING = 64  # packets for one client, with what is said of itself: pings, errors, acknowledgements
MOST_PACKETS = 64  # in one POST; clients that poll send all they have at once

IGNORED = "ignored"
"""The event that stands for what no client of ours sends; nothing handles it."""


class PacketQueue(JoinableQueue):
    """What waits for one client. One that makes us say more than it reads gets nothing more: its session ends."""

    _overrun = False

    def put(self, item: Any, *args: Any, **kwargs: Any) -> None:
        """Never waits."""
        if self._overrun and item is not None:
            return
        if self.qsize() >= MOST_PENDING:
            self._overrun, item = True, None  # engine.io's mark of the end
        super().put(item, *args, **kwargs)


class TextPacket(Packet):
    """A Socket.IO packet without binary parts: they would be gathered without a bound, and no event has them."""

    uses_binary_events = False

    def __init__(self, *args: Any, encoded_packet: str | bytes | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if encoded_packet is not None:  # an empty one, too
            self.decode(encoded_packet)

    def decode(self, encoded_packet: str | bytes) -> int:
        """Never raises: what cannot be read is an event that is ignored."""
        try:
            super().decode(encoded_packet if isinstance(encoded_packet, str) else "")
        except (ValueError, TypeError, LookupError, RecursionError):
            self.packet_type = None
        self.packet_type = {BINARY_EVENT: EVENT, BINARY_ACK: ACK}.get(self.packet_type, self.packet_type)
        if self._is_odd():
            self.packet_type, self.namespace, self.id, self.data = EVENT, None, None, [IGNORED]
        return 0

    def _is_odd(self) -> bool:
        """Whether clients send no such type, or it is an event without a name, or with one of Socket.IO's own."""
        if self.packet_type != EVENT:
            return self.packet_type not in (CONNECT, DISCONNECT, ACK)
        named = isinstance(self.data, list) and self.data and isinstance(self.data[0], str)
        return not named or self.data[0] in ("connect", "disconnect")


class SessionWebsocket(driver.WebSocketWSGI):
    """A websocket whose end, however it comes, is the end of its session, and whose confirmations are its life.

    `dismiss` ends a session with an error that its client is told.
    """

    def __init__(self, dismiss: Callable[[Any, RequestError], None], handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._dismiss = dismiss

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        session, websocket = self.app.__self__, environ["wsgi.websocket"]
        too_long = BodyTooLarge(f"A Socket.IO message may have {session.server.max_http_buffer_size} bytes.")
        session.receive = partial(_receive, session.receive)
        websocket.on_life = lambda: _alive(session)
        websocket.on_too_long = lambda: self._dismiss(session, too_long)
        try:
            return super().__call__(environ, start_response)
        except (OSError, ValueError, LookupError, RecursionError):
            return []
        finally:
            session.upgrading = False
            if session.upgraded:
                session.close(wait=False, abort=True, reason=session.server.reason.TRANSPORT_CLOSE)


def make_socketio(app: Flask, settings: Settings) -> SocketIO:
    socketio = SocketIO(
        app,
        async_mode="gevent",
        cors_allowed_origins="*" if settings.origins == ["*"] else partial(_may_come, settings.origins),
        cors_credentials=False,  # keys travel in events, never in cookies
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        max_http_buffer_size=settings.max_body_bytes,
        manage_session=False,
        serializer=TextPacket,
        async_handlers=False,  # one event of a client after the other: it cannot make greenlets at will
    )
    Payload.max_decode_packets = MOST_PACKETS
    engine = socketio.server.eio
    gate = Gate(socketio, most_bytes=settings.max_body_bytes, most_packets=MOST_PACKETS)
    engine.handle_request = gate
    hooks = {"queue": PacketQueue, "websocket": partial(SessionWebsocket, gate.dismiss)}
    engine._async = engine._async | hooks
    engine.handlers["message"] = partial(_heard, engine.sockets, engine.handlers["message"])
    # Engine.IO's own is an error in the log, for whatever a stranger asks, with what he asked in it.
    engine._log_error_once = lambda _, kind: log.debug("a request is refused: %s", kind)
    return socketio


def _may_come(origins: list[str], origin: str | None, environ: dict[str, Any]) -> bool:
    """Whether a page of this origin may: the named ones, and our own, which some programs send, too."""
    host = (origin or "").partition("://")[2]
    return origin in origins or (host != "" and host == environ.get("HTTP_HOST"))


def _heard(sessions: dict[str, Any], handle: Callable[[str, Any], None], sid: str, data: Any) -> None:
    """What comes behind the end of a session is nothing: of its client, nothing is known any more."""
    if sid in sessions and not sessions[sid].closed:
        handle(sid, data)


def _receive(receive: Callable[[Any], None], packet: Any) -> None:
    """Engine.IO holds a client's last packet until the next one comes: a prompt, for as long as it is answered."""
    try:
        receive(packet)
    finally:
        packet.data = None


def _alive(session: Any) -> None:
    """A client that confirms what it gets is there, even if engine.io's ping still waits behind data."""
    if session.last_ping:
        session.last_ping = time.time()
