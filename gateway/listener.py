"""A port to listen on, or a word on how to choose another. Around hops 1 and 8.

A host with a colon is one of IPv6.
"""

import socket

from shared.errors import SetupError


def bound(host: str, port: int, variable: str, purpose: str = "") -> socket.socket:
    """A socket that is bound there, and does not listen yet.

    Raises SetupError, which names the `variable` that says which port, and the `purpose` if there is one.
    """
    listener = _socket(host)
    listener.setblocking(False)
    if error := _failure(listener, host, port):
        listener.close()
        raise SetupError(
            f"cannot listen on {host}:{port}{purpose}: {error.strerror}; choose another port with {variable}"
        ) from error
    return listener


def refused(host: str, port: int) -> OSError | None:
    """Why nothing can listen there now; None if it can."""
    with _socket(host) as probe:
        return _failure(probe, host, port)


def free_port(host: str) -> int:
    """One that nobody listens at."""
    with _socket(host) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _failure(listener: socket.socket, host: str, port: int) -> OSError | None:
    """Bind it, and tell what came in the way. Connections of a last run that fade away do not."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        return error
    return None
