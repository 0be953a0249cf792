"""One client's websocket: whole messages at the client's own pace, and little on its way at a time. Hop 8.

gevent-websocket knows the handshake and the parts of a frame (RFC 6455). What differs here:

* A client may have WINDOW bytes that it has not confirmed, more if it is fast. Pings ask it to: every websocket
  client answers them by itself, and in order. So whatever waits behind data, Socket.IO's own ping above all, waits
  for a known amount of it, however much the kernels and proxies on the way would take for a reader that is slow.
* Long messages are sent in fragments, with pings between them.
* A client that says nothing, or takes nothing, for the socket's timeout is cut off.
* A connection that ends within a frame is cut, never closed by another frame in the midst of it.
* A message is measured before it is read, and one client's frames do not keep the others waiting.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from geventwebsocket.exceptions import ProtocolError, WebSocketError
from geventwebsocket.websocket import Header, Stream, WebSocket

from gateway.turns import Turn

WINDOW = 32 * 1024  # bytes written and not confirmed, of a slow client
WIDEST = 1024 * 1024  # the same, of a fast one
FAST = 1.0  # seconds in which a fast client confirms
PIECE = 16 * 1024  # bytes in one write; the timeout is for each
CLOSING = 5.0  # seconds a client has to answer a close


class TooLong(Exception):
    """A message is longer than is taken. No OSError: whoever owns the connection has something to say first."""


class PacedWebSocket(WebSocket):
    """A server's end of a websocket; one greenlet may read while others write.

    `most_bytes` bounds a message that is read. `on_life` is called whenever the client confirms what it got, and
    `on_too_long` before the end of a connection whose client has sent more than that.
    """

    closed: bool

    def __init__(self, handler: Any, *, most_bytes: int) -> None:
        super().__init__(handler.environ, Stream(handler), handler)
        self.on_life: Callable[[], None] = lambda: None
        self.on_too_long: Callable[[], None] = lambda: None
        self._socket = handler.socket
        self._most_bytes = most_bytes
        self._incoming = 0
        self._turn = Turn()
        self._message = BoundedSemaphore(1)  # held while a message is sent, which control frames may interrupt
        self._frame = BoundedSemaphore(1)
        self._sent = self._confirmed = 0  # bytes of data frames
        self._asked = (0, 0.0)  # the same at the last ping, and when that was
        self._window = WINDOW
        self._heard = Event()
        self._verdict: tuple[int, str] | None = None  # why the client's messages are no longer read

    def receive(self) -> str | bytes | None:
        """The next message; None if the connection ends. A text that is no Engine.IO packet ends it.

        So does one that is too long: what waits for the client is still sent, and then a close that says why.
        """
        try:
            message: str | bytes | None = super().receive()
        except TooLong as error:
            self._verdict = (1009, str(error))
            self._heard.set()
            self.on_too_long()
            return None
        if isinstance(message, str) and not ("0" <= message[:1] <= "9"):
            self.close(1003, "only Engine.IO packets are understood")
            return None
        return message

    def read_frame(self) -> tuple[Any, bytes]:
        """The next frame's header and payload. Raises WebSocketError at the end of the stream."""
        self._turn.give_way()
        header = Header.decode_header(self.stream)
        if header.flags or not header.mask:
            raise ProtocolError
        self._measure(header)
        payload = self.raw_read(header.length)
        if len(payload) != header.length:
            raise WebSocketError("the stream ends within a frame")
        return header, _unmasked(payload, header.mask)

    def validate_utf8(self, payload: bytes) -> None:
        """Nothing to do: decoding the message validates it, and 100 times faster."""

    def handle_pong(self, header: Any, payload: bytes) -> None:
        asked, when = self._asked
        with suppress(ValueError):
            if self._confirmed < (confirmed := min(int(payload), asked)):
                self._confirmed = confirmed
                fast = confirmed == asked and time.monotonic() - when < FAST
                self._window = min(2 * self._window, WIDEST) if fast else max(self._window // 2, WINDOW)
                self.on_life()
                self._heard.set()

    def send_frame(self, message: str | bytes, opcode: int) -> None:
        """Send a message or a control frame. Raises WebSocketError if the client is gone, or stands still."""
        data = message.encode() if isinstance(message, str) else bytes(message)
        if opcode not in (self.OPCODE_TEXT, self.OPCODE_BINARY):
            self._write(True, opcode, data)
            return
        with self._message:
            for start in range(0, max(len(data), 1), PIECE):
                self._await_window()
                piece = data[start : start + PIECE]
                self._write(start + PIECE >= len(data), self.OPCODE_CONTINUATION if start else opcode, piece)
                self._count(len(piece))

    def close(self, code: int = 1000, message: str | bytes = b"") -> None:
        """Say that the connection ends, unless it ends within a frame; then end it. Never raises."""
        if self.closed:
            return
        if self._frame.locked():
            self.abort()
            return
        code, message = self._verdict or (code, message or b"")
        reason = message.encode() if isinstance(message, str) else bytes(message)
        with suppress(WebSocketError):
            self.send_frame(code.to_bytes(2, "big") + reason, self.OPCODE_CLOSE)
        self.closed = True
        self._heard.set()
        gevent.spawn_later(CLOSING, self.abort)

    def abort(self) -> None:
        """Cut the connection: whoever reads or writes finds its end."""
        self.closed = True
        self._heard.set()
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)

    def _measure(self, header: Any) -> None:
        """Refuse a message that is too long before it is read. Raises TooLong."""
        if header.opcode >= self.OPCODE_CLOSE:
            return
        self._incoming = header.length + (self._incoming if header.opcode == self.OPCODE_CONTINUATION else 0)
        if self._incoming > self._most_bytes:
            raise TooLong(f"a message may have {self._most_bytes} bytes")

    def _await_window(self) -> None:
        # Once nothing is read any more, confirmations are not either.
        while not self.closed and not self._verdict and self._sent - self._confirmed >= self._window:
            self._heard.clear()
            if not self._heard.wait(self._socket.gettimeout()):
                self.abort()
        if self.closed:
            raise WebSocketError("the connection is closed")

    def _count(self, size: int) -> None:
        """Note what was written, and ask the client to confirm it."""
        self._sent += size
        if self._sent - self._asked[0] >= self._window // 2:
            self._asked = (self._sent, time.monotonic())
            self.send_frame(str(self._sent), self.OPCODE_PING)

    def _write(self, last: bool, opcode: int, data: bytes) -> None:
        frame = bytes(Header.encode_header(last, opcode, b"", len(data), 0)) + data
        with self._frame, self._whole():
            self._socket.sendall(frame)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A frame that is not written whole leaves the connection good for nothing."""
        if self.closed:
            raise WebSocketError("the connection is closed")
        try:
            yield
        except OSError as error:
            self.abort()
            raise WebSocketError(f"the client takes no more: {error}") from error
        except BaseException:
            self.abort()
            raise


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """The payload XOR its repeated mask of 4 bytes, as one operation on long integers."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
