"""One client's HTTP connection: its requests, one after the other, and their ends. Around hops 1 and 8.

gevent's handler writes the responses; what differs here:

* Heads and bodies are read by the clock and by the letter (intake.py, framing.py). Refusals have the API's shape.
* A connection goes on only behind a request that was read to its end: what follows any other is not a request.
* Who is still sending when the answer comes gets to read it.
* Websockets keep their clients' pace (websocket.py). docs/decisions/0002-websockets.md tells why not
  simple-websocket, and how it was proved.
* Nothing that a client sends makes a line in the log above debug.
"""

import base64
import errno
import io
import logging
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import gevent
import h11
from gevent.pywsgi import OldMessage
from geventwebsocket.handler import WebSocketHandler

from gateway import metrics, request_id, safety
from gateway.api.errors import error_json, retry_headers
from gateway.framing import Body, Chunks, Content
from gateway.intake import BODY_TIME, HEAD_TIME, MOST_OVERHEAD, SLOWEST, Intake, check_start, path_of, read_head
from gateway.presence import Connected
from gateway.websocket import PIECE, PacedWebSocket
from shared.errors import GatewayStopping, MalformedRequest, RequestError

log = logging.getLogger(__name__)

LINGER = 5.0  # seconds that a client has to read the last answer, and to stop sending
BUFFER = 1024  # bytes for reading, twice for as long as a request is answered; what is longer is read past it
MOST_LINGERING = 4  # times as much as a body may have is thrown away meanwhile
WEBSOCKETS = "/socket.io/"

PRESENCE = "crofai.presence"
"""In the WSGI environment: the client's Presence."""


class Handler(WebSocketHandler):
    """A client that takes or sends nothing for `timeout` seconds is cut off: nobody waits for it for ever."""

    timeout: float
    most_bytes: int
    close_connection: bool
    response_headers: list[tuple[bytes, bytes]]
    _gathered: bytearray | None = None
    _rest = b""  # of what was written from another greenlet
    environ: dict[str, Any]

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        self._intake = Intake(sock)
        super().__init__(sock, address, server, rfile=io.BufferedReader(self._intake, BUFFER))

    def handle(self) -> None:
        self.socket.settimeout(self.timeout)
        try:
            while self.handle_one_request():
                pass
            self._linger()
        except OSError as error:
            log.debug("%s is gone: %s", self.client_address, error)
        finally:
            self.socket.close()
            for part in ("socket", "rfile", "wsgi_input", "environ"):  # which know each other, and this
                self.__dict__.pop(part, None)

    def handle_one_request(self) -> bool:
        """Whether another may follow."""
        gevent.sleep(0)  # reading does not wait as long as there is something to read: others have their turn
        try:
            request_id.begin()
            if not self._await_request():
                return False
            self._begin(read_head(self.rfile))
            self._check_handshake()
        except RequestError as error:
            self._refuse(error)
            return False
        self.handle_one_response()
        return not self.close_connection

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        in_chunks = "HTTP_TRANSFER_ENCODING" in environ
        waits = self.socket if environ.get("HTTP_EXPECT", "").lower() == "100-continue" else None
        length = self.content_length or 0
        content = Chunks(self.rfile, waits) if in_chunks else Content(self.rfile, length, waits)
        self.wsgi_input = Body(content, BUFFER)
        presence = Connected(self.socket, self)
        ours = {"wsgi.input": self.wsgi_input, "wsgi.input_terminated": True, PRESENCE: presence}
        return environ | ours

    def finalize_headers(self) -> None:
        last = self.close_connection or not self.wsgi_input.whole or self._stopping()
        if self.code != HTTPStatus.SWITCHING_PROTOCOLS and last:
            self.close_connection = True
            others = [header for header in self.response_headers if header[0].lower() != b"connection"]
            self.response_headers = [*others, (b"Connection", b"close")]
        self.response_headers.append((request_id.HEADER.encode(), request_id.current().encode()))
        self.response_headers += safety.missing(self.response_headers, self.environ)
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False  # an end of chunks would be a body

    def _stopping(self) -> bool:
        """Whether the next request belongs to another gateway. A Socket.IO client that polls has more to fetch."""
        return bool(self.server.closed) and not self.path.startswith(WEBSOCKETS)

    def upgrade_websocket(self) -> Any:
        return self.upgrade_connection() if self._asks_for_websocket() else None

    def upgrade_connection(self) -> Any:
        answer = super().upgrade_connection()
        if plain := getattr(self, "websocket", None):
            plain.closed = True  # it would write a close when it is collected
            self._intake.pause()
            self.websocket = PacedWebSocket(self, most_bytes=self.most_bytes)
            self.environ["wsgi.websocket"] = self.websocket
        return answer

    def handle_error(self, kind: Any, error: Any, traceback: Any) -> None:
        """A request that is ended because the server stops is told so, if nothing of its answer was sent."""
        if issubclass(kind, gevent.GreenletExit) and not (self.headers_sent or self.connection_upgraded):
            self.close_connection = True
            self._refuse(GatewayStopping())
        else:
            super().handle_error(kind, error, traceback)

    def _await_request(self) -> bool:
        """Wait for a first byte, idle; False if none comes. From then on, the head's time runs."""
        self._intake.pause()
        try:
            first = self.rfile.peek(1)[:1]
        except TimeoutError:
            return False
        if first:
            check_start(first)
            self._intake.start(min(HEAD_TIME, self.timeout))
        return bool(first)

    def _begin(self, head: h11.Request) -> None:
        """Take a request up; its body's time runs."""
        self._rest = b""
        self.command, self.path = head.method.decode(), path_of(head.target.decode())
        self.request_version = f"HTTP/{head.http_version.decode()}"
        self.requestline = f"{self.command} {self.path} {self.request_version}"
        self.headers = OldMessage()
        for name, value in head.headers.raw_items():
            self.headers[name.decode()] = value.decode("latin-1")
        request_id.begin(self.headers.get(request_id.HEADER), self.headers.get("traceparent"))
        length = self.headers.get("Content-Length")
        self.content_length = None if length is None else int(length)
        wish = "," + self.headers.get("Connection", "").lower().replace(" ", "") + ","
        self.close_connection = ",close," in wish if head.http_version == b"1.1" else ",keep-alive," not in wish
        self._intake.start(min(BODY_TIME, self.timeout), SLOWEST, MOST_OVERHEAD * self.most_bytes)
        self.environ = self.get_environ()
        self.application = self.server.application

    def _asks_for_websocket(self) -> bool:
        ask = self.environ.get
        tokens = [token.strip() for token in ask("HTTP_CONNECTION", "").lower().split(",")]
        upgrade = "upgrade" in tokens and ask("HTTP_UPGRADE", "").lower() == "websocket"
        return upgrade and self.command == "GET" and ask("PATH_INFO", "").startswith(WEBSOCKETS)

    def _check_handshake(self) -> None:
        if not self._asks_for_websocket():
            return
        if self.environ.get("HTTP_SEC_WEBSOCKET_VERSION") not in self.SUPPORTED_VERSIONS:
            raise MalformedRequest("Sec-WebSocket-Version: should be 13.")
        try:
            size = len(base64.b64decode(self.environ.get("HTTP_SEC_WEBSOCKET_KEY", "")))
        except ValueError:
            size = 0
        if size != 16 or self.request_version != "HTTP/1.1":
            raise MalformedRequest("Sec-WebSocket-Key: should be 16 bytes in base64, in a request of HTTP/1.1.")

    def _refuse(self, error: RequestError) -> None:
        """Answer without the application, in the shape that all errors have."""
        # What is wrong in a request may be a key, and is for its sender alone.
        log.debug("%s: %s", self.client_address, error.code)
        metrics.refused(error)
        status, body = HTTPStatus(error.status), error_json(error)
        headers = {"Connection": "close", "Content-Type": "application/json", "Content-Length": len(body)}
        headers |= {request_id.HEADER: request_id.current()} | safety.ALWAYS | retry_headers(error)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + body)

    def _linger(self) -> None:
        """Close our side, and wait for the client to close its own: while bytes of it are unread, closing all
        would make the kernel take back the answer that it has not read yet."""
        if self.server.closed:
            return
        left = MOST_LINGERING * self.most_bytes
        with suppress(OSError), gevent.Timeout(LINGER, False):
            self.socket.shutdown(socket.SHUT_WR)
            while left > 0 and (thrown := len(self.socket.recv(PIECE))):
                left -= thrown
                gevent.sleep(1e-6)

    def takes_more(self) -> bool:
        """As Presence.takes."""
        return bool(self.headers_sent) and not self._rest and self.command != "HEAD"

    def write_now(self, data: bytes) -> None:
        """As Presence.write. What the system does not take, the greenlet's own next write does."""
        if not data:
            return  # in chunks, it would be the end
        piece = self._framed(data)
        try:
            sent = self.socket._sock.send(piece)  # gevent's own would wait
        except OSError:
            sent = 0  # what is wrong, if anything is, the greenlet will be told
        self.response_length += sent
        self._rest = piece[sent:]

    def process_result(self) -> None:
        super().process_result()
        if self._rest:
            self._sendall(b"")

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.response_use_chunked else data

    def _write(self, data: bytes) -> None:
        if data and self.command != "HEAD":
            self._sendall(self._framed(data))

    def _send_piece(self, piece: bytes | bytearray) -> None:
        """Most go in one call. `sendall` first asks the system for the size of its buffer, each time: for a token,
        that costs as much as to send it."""
        sent = self.socket.send(piece)
        self.response_length += sent
        if sent < len(piece):
            super()._sendall(piece[sent:])

    def _write_with_headers(self, data: bytes) -> None:
        """In one call where both are small: each may wake the client."""
        if len(data) > PIECE:
            super()._write_with_headers(data)
            return
        self._gathered = gathered = bytearray()
        try:
            super()._write_with_headers(data)
        finally:
            self._gathered = None
        self._sendall(gathered)

    def _sendall(self, data: bytes | bytearray) -> None:
        if self._gathered is not None:
            self._gathered += data
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        try:
            # The timeout is for the whole of a call: in pieces, a slow reader has it for each.
            for start in range(0, len(data), PIECE):
                self._send_piece(data[start : start + PIECE])
        except OSError as error:
            # One that takes nothing has left as well; of this error pywsgi knows that it is the client's.
            raise BrokenPipeError(errno.EPIPE, f"the client takes no more: {error}") from error
