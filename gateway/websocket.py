"""One client's websocket: whole frames at the client's own pace, and little on its way at a time. Hop 8.

gevent-websocket knows the handshake and the parts of a frame (RFC 6455). What differs here:

* A client may have WINDOW bytes that it has not confirmed. Pings ask it to: every websocket client answers them
  by itself, and in order. So whatever waits behind data, Socket.IO's own ping above all, waits for a known amount
  of it, however much of the stream the kernels and proxies on the way would take for a reader that is slow.
* A frame is written in pieces, and only a piece that does not move for `timeout` seconds ends the connection.
* A connection that ends within a frame is cut, never closed by another frame in the midst of it.
* A frame is measured before it is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from geventwebsocket.exceptions import ProtocolError, WebSocketError
from geventwebsocket.websocket import Header, Stream, WebSocket

WINDOW = 32 * 1024  # bytes written and not confirmed
PIECE = 16 * 1024  # bytes in one write
CLOSING = 5.0  # seconds a client has to answer a close


class PacedWebSocket(WebSocket):
    """A server's end of a websocket; one greenlet may read while others write.

    `timeout` (seconds) is how long a write, or a confirmation, may stand still; `most_bytes` bounds a message.
    """

    closed: bool

    def __init__(self, handler: Any, *, timeout: float, most_bytes: int) -> None:
        super().__init__(handler.environ, Stream(handler), handler)
        self._socket = handler.socket
        self._socket.settimeout(None)  # a client need not say anything; its pings tell whether it is there
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._incoming = 0
        self._writing = BoundedSemaphore(1)
        self._sent = self._asked = self._confirmed = 0  # bytes of data frames
        self._heard = Event()

    def read_frame(self) -> tuple[Any, bytes]:
        """The next frame's header and payload. Raises WebSocketError at the end of the stream."""
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
        with suppress(ValueError):
            self._confirmed = max(self._confirmed, min(int(payload), self._asked))
            self._heard.set()

    def send_frame(self, message: str | bytes, opcode: int) -> None:
        """Write one frame, whole. Raises WebSocketError if the client is gone, or stands still."""
        data = message.encode() if isinstance(message, str) else bytes(message)
        frame = bytes(Header.encode_header(True, opcode, b"", len(data), 0)) + data
        if opcode not in (self.OPCODE_TEXT, self.OPCODE_BINARY):
            self._write(frame)
            return
        self._await_window()
        self._write(frame)
        self._sent += len(frame)
        if self._sent - self._asked >= WINDOW // 2:
            self._asked = self._sent
            self.send_frame(str(self._sent), self.OPCODE_PING)

    def close(self, code: int = 1000, message: str | bytes = b"") -> None:
        """Say that the connection ends, unless it ends within a frame; then end it. Never raises."""
        if self.closed:
            return
        if self._writing.locked():
            self.abort()
            return
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
        """Refuse a message that is too long before it is read."""
        if header.opcode >= self.OPCODE_CLOSE:
            return
        self._incoming = header.length + (self._incoming if header.opcode == self.OPCODE_CONTINUATION else 0)
        if self._incoming > self._most_bytes:
            self.close(1009, f"a message may have {self._most_bytes} bytes")
            raise WebSocketError("a message is too long")

    def _await_window(self) -> None:
        while not self.closed and self._sent - self._confirmed >= WINDOW:
            self._heard.clear()
            if not self._heard.wait(self._timeout):
                self.abort()
        if self.closed:
            raise WebSocketError("the connection is closed")

    def _write(self, frame: bytes) -> None:
        view = memoryview(frame)
        with self._writing, self._whole():
            for start in range(0, len(view), PIECE):
                with gevent.Timeout(self._timeout, TimeoutError):
                    self._socket.sendall(view[start : start + PIECE])

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
