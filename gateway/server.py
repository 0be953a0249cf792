"""The web server: gevent's, with websockets that keep their clients' pace (websocket.py).

docs/decisions/0002-websockets.md tells why not simple-websocket, and how it was proved.
"""

import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

import gevent
from flask import Flask
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from gateway.presence import Connected
from gateway.websocket import PIECE, PacedWebSocket
from shared.errors import SetupError
from shared.settings import Settings

log = logging.getLogger(__name__)

UNSENT = 64 * 1024  # bytes the kernel may hold unsent for one client; the rest waits in the job's log
BACKLOG = 1024
MOST_CLIENTS = 20_000  # connections; more wait for one to end
STOP = 5.0  # seconds that requests have to end once the server stops

PRESENCE = "crofai.presence"
"""In the WSGI environment: the client's Presence."""


def serve(app: Flask, settings: Settings, leave: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. Then `leave` ends what Socket.IO has open; requests have STOP seconds.

    Raises SetupError if the port cannot be had.
    """
    listener = _listen(settings)
    limits = {"timeout": settings.ping_interval + settings.ping_timeout, "most_bytes": settings.max_body_bytes}
    clients = Pool(MOST_CLIENTS)
    handler = type("Handler", (_Handler,), limits)
    server = WSGIServer(listener, app, spawn=clients, handler_class=handler, log=None, error_log=log)

    def stop() -> None:
        log.info("stopping: %d connections", len(clients))
        server.close()
        leave()
        server.stop(STOP)

    for name in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(name, stop)
    log.info("listening on http://%s:%d", *listener.getsockname()[:2])
    server.serve_forever()
    # Requests that were ended have their jobs to cancel.
    clients.join(STOP)


class _Handler(WebSocketHandler):
    """A client that takes or sends nothing for `timeout` seconds is cut off: nobody waits for it for ever."""

    timeout: float
    most_bytes: int

    def handle(self) -> None:
        self.socket.settimeout(self.timeout)
        super().handle()

    def handle_one_request(self) -> Any:
        gevent.sleep(0)  # reading does not wait as long as there is something to read: others have their turn
        return super().handle_one_request()

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ[PRESENCE] = Connected(self.socket)
        return environ

    def upgrade_connection(self) -> Any:
        answer = super().upgrade_connection()
        if plain := getattr(self, "websocket", None):
            plain.closed = True  # it would write a close when it is collected
            self.websocket = PacedWebSocket(self, most_bytes=self.most_bytes)
            self.environ["wsgi.websocket"] = self.websocket
        return answer

    def _sendall(self, data: bytes) -> None:
        # The timeout is for the whole of a call: in pieces, a slow reader has it for each.
        for start in range(0, len(data), PIECE):
            super()._sendall(data[start : start + PIECE])


def _listen(settings: Settings) -> socket.socket:
    """A listening socket; what is set on it, its connections inherit."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_NOTSENT_LOWAT", UNSENT),
    ):
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise SetupError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "choose another port with CROFAI_PORT"
        ) from error
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
