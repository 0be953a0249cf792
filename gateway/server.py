"""The web server's socket and its life: from listening to the last request's end. http.py has the requests."""

import logging
import signal
import socket
from collections.abc import Callable

import gevent
from flask import Flask
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from gateway.http import Handler
from gateway.listener import bound
from shared.settings import Settings

log = logging.getLogger(__name__)

UNSENT = 64 * 1024  # bytes the kernel may hold unsent for one client; the rest waits in the job's log
BACKLOG = 1024
MOST_CLIENTS = 20_000  # connections; more wait for one to end
IDLE = 1.0  # seconds for what has not ended once all may have, such as connections that nobody uses
LEAVING = 4.0  # seconds beyond those that requests have to end, in which all is done
LAST = 5.0  # seconds for what requests that were ended leave to do


def serve(app: Flask, settings: Settings, leave: Callable[[float], None]) -> None:
    """Serve until SIGTERM or SIGINT. Then `leave` ends what is open, within `gateway_drain_timeout`; at once, if
    there is a second signal.

    Raises SetupError if the port cannot be had.
    """
    listener = _listen(settings)
    limits = {"timeout": settings.ping_interval + settings.ping_timeout, "most_bytes": settings.max_body_bytes}
    clients = Pool(MOST_CLIENTS)
    handler = type("LimitedHandler", (Handler,), limits)
    server = WSGIServer(listener, app, spawn=clients, handler_class=handler, log=None, error_log=log)

    def stop() -> None:
        if server.closed:
            leave(0)
            return
        log.info("stopping: %d connections", len(clients))
        server.close()
        leave(settings.gateway_drain_timeout)
        server.stop(IDLE)

    for name in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(name, stop)
    log.info("listening on http://%s:%d", *listener.getsockname()[:2])
    # Its own patience, a second, begins when the listener is closed, and would end requests that have more.
    server.serve_forever(stop_timeout=settings.gateway_drain_timeout + LEAVING)
    # Requests that were ended have their jobs to cancel.
    clients.join(LAST)


def _listen(settings: Settings) -> socket.socket:
    """A listening socket; what is set on it, its connections inherit."""
    listener = bound(settings.host, settings.port, "CROFAI_PORT")
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
    listener.listen(BACKLOG)
    return listener
