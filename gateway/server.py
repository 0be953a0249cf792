"""The web server: gevent's, with gevent-websocket, which writes whole frames to slow readers.

docs/decisions/0002-websockets.md tells why not simple-websocket, and how it was proved.
"""

import logging
import signal
import socket

import gevent
from flask import Flask
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from shared.errors import SetupError
from shared.settings import Settings

log = logging.getLogger(__name__)

UNSENT = 64 * 1024  # bytes the kernel may hold unsent for one client; the rest waits in the job's log
BACKLOG = 1024


def serve(app: Flask, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises SetupError if the port cannot be had."""
    listener = _listen(settings)
    handler = type("Handler", (_Handler,), {"timeout": settings.ping_interval + settings.ping_timeout})
    server = WSGIServer(listener, app, handler_class=handler, log=None, error_log=log)
    for name in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(name, server.stop, 5)
    log.info("listening on http://%s:%d", *listener.getsockname()[:2])
    server.serve_forever(stop_timeout=5)


class _Handler(WebSocketHandler):
    """A client that takes or sends nothing for `timeout` seconds is cut off: nobody waits for it for ever."""

    timeout: float

    def handle(self) -> None:
        self.socket.settimeout(self.timeout)
        super().handle()


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
