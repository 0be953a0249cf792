"""What a client sends over HTTP, by the clock, and a request's head, by the letter. Before hop 1.

gevent's own parser takes more than it should, and has no clock. h11 knows what a head may be; anything doubtful is
refused, because a proxy before us might read it otherwise, and a request could hide in what we make of it. Bodies
are in framing.py.
"""

import io
import re
import time
from typing import Any

import gevent
import h11

from gateway.turns import Turn
from shared.errors import BodyTooLarge, HeadTooLarge, MalformedRequest, RequestTimeout

HEAD_TIME = 30.0  # seconds from a head's first byte to its last
BODY_TIME = 30.0  # seconds for a body, and as many more as it takes at SLOWEST
SLOWEST = 1024  # bytes a second
MOST_HEAD = 32 * 1024  # bytes of a request line and its headers
MOST_HEADERS = 100
MOST_OVERHEAD = 3  # times as many bytes as its content may a body in chunks have: more are no chunks worth reading


class Intake(io.RawIOBase):
    """The bytes that one client sends. Raises RequestTimeout when they come too slowly."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock
        self._turn = Turn()
        self.pause()

    def pause(self) -> None:
        """No clock runs: between requests, and in websockets, the socket's own timeout is enough."""
        self._until: float | None = None

    def start(self, seconds: float, slowest: float = float("inf"), most: float = float("inf")) -> None:
        """From now on the client has these seconds, and for each byte more, as the slowest rate has it."""
        self._until = time.monotonic() + seconds
        self._slowest = slowest
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._turn.give_way()
        if self._until is None:
            return int(self._socket.recv_into(buffer))
        if (seconds := self._until - time.monotonic()) <= 0:
            raise RequestTimeout
        try:
            with gevent.Timeout(seconds, RequestTimeout()):
                size = int(self._socket.recv_into(buffer))
        except TimeoutError:
            raise RequestTimeout from None
        self._until += size / self._slowest
        self._left -= size
        if self._left < 0:
            raise BodyTooLarge
        return size


def read_head(stream: io.BufferedReader) -> h11.Request:
    """The next request's head. Raises MalformedRequest, HeadTooLarge or RequestTimeout."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(_lines(stream))
    try:
        head = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise MalformedRequest(f"This is no valid HTTP request: {str(error)[:200]}.") from None
    assert isinstance(head, h11.Request), "a whole head is a request"
    _check_version(head)
    _check_framing(head)
    return head


def check_start(first: bytes) -> None:
    """Raise MalformedRequest at a first byte that cannot be HTTP's: the rest would be waited for in vain."""
    if first < b"!" and first not in (b"\r", b"\n"):
        raise MalformedRequest("This is no HTTP request. Plain HTTP is spoken here: is it meant for https?")


def path_of(target: str) -> str:
    """A request's target without scheme and host, which clients of proxies send (RFC 9112, 3.2.2)."""
    whole = re.fullmatch(r"https?://[^/?#]+([/?].*)?", target, re.IGNORECASE)
    if whole is None:
        return target
    path = whole[1] or "/"
    return path if path.startswith("/") else f"/{path}"


def _lines(stream: io.BufferedReader) -> bytes:
    """A head with its empty line."""
    head, left, lines = b"", MOST_HEAD, 0
    while not head.endswith((b"\n\n", b"\n\r\n")):
        line = stream.readline(left + 1)
        left -= len(line)
        lines += 1
        if left < 0 or lines > MOST_HEADERS + 2:
            raise HeadTooLarge
        if not line.endswith(b"\n"):
            raise MalformedRequest("The request ends within its head.")
        # One empty line may come first: some clients end their bodies with one.
        if line.strip(b"\r\n") or lines > 1:
            head += line
    return head


def _check_version(head: h11.Request) -> None:
    if head.http_version not in (b"1.0", b"1.1"):
        raise MalformedRequest(f"HTTP/{head.http_version.decode()} is not spoken here. Use HTTP/1.1.")


def _check_framing(head: h11.Request) -> None:
    """Refuse a body whose end is in doubt."""
    names = {name for name, _ in head.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or head.http_version == b"1.0"):
        raise MalformedRequest("Send Content-Length, or in HTTP/1.1 Transfer-Encoding, but not both.")
