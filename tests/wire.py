"""HTTP down to the bytes, for what no library would send."""

import http.client
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from tests.cluster import Cluster


@dataclass(frozen=True)
class Answer:
    """One response, and whether the connection ended behind it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    closed: bool

    @property
    def error(self) -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(self.body)["error"])


def dial(running: Cluster, timeout: float = 20, *, buffer: int | None = None) -> socket.socket:
    """A connection to the gateway. `buffer` is the kernel's for what it receives, in bytes; None: as it likes."""
    address = urlsplit(running.url)
    assert address.hostname and address.port
    raw = socket.socket()
    raw.settimeout(timeout)
    if buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    raw.connect((address.hostname, address.port))
    return raw


def request(method: str = "POST", path: str = "/v1/free/fast", body: bytes = b"", **headers: str) -> bytes:
    """A request as it should be, less what `headers` changes; an empty value leaves a header out."""
    length = str(len(body)) if body else ""
    fields = {"Host": "x", "Content-Type": "application/json", "Content-Length": length}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode(errors="surrogateescape") + body


def answer(raw: socket.socket, method: str = "GET") -> Answer:
    """The next response. What a HEAD is sent beyond its head counts as its body."""
    response = http.client.HTTPResponse(raw, method=method)
    response.begin()
    body = response.read()
    rest = b""
    if closing := response.getheader("Connection", "").lower() == "close":
        rest = remains(raw)
    return Answer(response.status, response.headers, body + rest, closing)


def remains(raw: socket.socket) -> bytes:
    """All that comes until the server closes. Raises TimeoutError if it does not."""
    got = b""
    with suppress(ConnectionError):
        while some := raw.recv(65536):
            got += some
    return got
