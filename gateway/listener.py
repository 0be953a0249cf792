"""A port to listen on, or a word on how to choose another. Around hops 1 and 8."""

import socket

from shared.errors import SetupError


def bound(host: str, port: int, variable: str, purpose: str = "") -> socket.socket:
    """A socket that is bound there, and does not listen yet; a host with a colon is one of IPv6.

    Raises SetupError, which names the `variable` that says which port, and the `purpose` if there is one.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setblocking(False)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SetupError(
            f"cannot listen on {host}:{port}{purpose}: {error.strerror}; choose another port with {variable}"
        ) from error
    return listener
