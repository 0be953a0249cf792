"""Whether the client of a request is still there, as far as its connection tells. Hops 1 and 8.

While a request waits for chunks nobody reads from its connection, so that its end has to be looked for. It counts
as the client's leaving, also if only the sending side was closed: the HTTP clients in use close both at once.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import gevent

ESTABLISHED = 1  # the first byte of TCP_INFO, from linux/tcp.h: both ends are open
READ = 1  # libev's name for "there is something to read", which the end of a connection is, too


class Presence:
    """Of a client whose greenlet ends when it leaves."""

    def left(self) -> bool:
        return False

    def takes(self) -> bool:
        """Whether `write` may be called: an answer has begun, and the client is not behind."""
        return False

    def write(self, data: bytes) -> None:
        """Send a part of the answer's body, while its greenlet waits for something to send. What the client does
        not take at once comes before all that follows. Never blocks."""

    @contextmanager
    def watch(self, tell: Callable[[], None]) -> Iterator[None]:
        """Within the context, `tell` is called as soon as the client leaves. It must not block."""
        yield


class Sender(Protocol):
    """What writes an answer; both as in Presence."""

    def takes_more(self) -> bool: ...

    def write_now(self, data: bytes) -> None: ...


class Connected(Presence):
    """Of a client at the other end of a TCP connection."""

    def __init__(self, connection: socket.socket, sender: Sender | None = None) -> None:
        self._connection = connection
        self._sender = sender

    def takes(self) -> bool:
        return self._sender is not None and self._sender.takes_more()

    def write(self, data: bytes) -> None:
        if self._sender is not None:
            self._sender.write_now(data)

    def left(self) -> bool:
        if not hasattr(socket, "TCP_INFO"):
            return False
        try:
            return bool(self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED)
        except OSError:
            return True

    @contextmanager
    def watch(self, tell: Callable[[], None]) -> Iterator[None]:
        """As above, but for a client that has sent its next request already: that hides its leaving."""
        if (number := self._connection.fileno()) < 0:
            tell()
            yield
            return
        watcher = gevent.get_hub().loop.io(number, READ)

        def look() -> None:
            watcher.stop()  # what there is to read stays there
            if self.left():
                tell()

        watcher.start(look)
        try:
            yield
        finally:
            watcher.stop()
            watcher.close()
