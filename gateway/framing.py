"""Where a request's body ends over HTTP: after its length, or with the last of its chunks. Before hop 1.

Chunks are read by the letter. What a proxy before us may end elsewhere, at a bare line feed for instance, could
hide a request in what we take for a body.
"""

import io
import re
from typing import Any

from shared.errors import MalformedRequest, RequestError

MOST_LINE = 4096  # bytes of a chunk's size and its extensions
MOST_TRAILERS = 32 * 1024  # bytes of the fields behind the last chunk
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (TOKEN, TOKEN, QUOTED)
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)*\r\n" % EXTENSION)
TRAILER = re.compile(rb"%b:[\t -~\x80-\xff]*\r\n" % TOKEN)


class Content(io.RawIOBase):
    """A body of `length` bytes. Reading it raises MalformedRequest, RequestTimeout or BodyTooLarge."""

    def __init__(self, stream: io.BufferedReader, length: int, waits: Any = None) -> None:
        """`waits` is the socket of a client that wants to be told to go on, or None."""
        self.whole = not length
        self._stream = stream
        self._left = length
        self._waits = waits
        self._broken = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.whole or self._broken:
            return 0
        try:
            self._invite()
            return self._read(buffer)
        except OSError as error:
            self._broken = True
            raise MalformedRequest(f"The body cannot be read: {str(error)[:200]}.") from None
        except RequestError:
            self._broken = True  # what follows means nothing any more
            raise

    def _invite(self) -> None:
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.sendall(CONTINUE)

    def _read(self, buffer: Any) -> int:
        size = self._take(buffer)
        self.whole = not self._left
        return size

    def _take(self, buffer: Any) -> int:
        size = self._stream.readinto1(memoryview(buffer)[: self._left])
        if not size:
            raise MalformedRequest("The request ends within its body.")
        self._left -= size
        return size


class Chunks(Content):
    """A body in chunks, up to the end of its trailers, which mean nothing here."""

    def __init__(self, stream: io.BufferedReader, waits: Any = None) -> None:
        super().__init__(stream, 0, waits)
        self.whole = False

    def _read(self, buffer: Any) -> int:
        if not self._left:
            self._left = self._next_size()
        if not self._left:
            self._skip_trailers()
            self.whole = True
            return 0
        size = self._take(buffer)
        if not self._left and (end := self._stream.read(2)) != b"\r\n":
            raise MalformedRequest(
                f"Transfer-Encoding: a chunk should end with CRLF behind its bytes, got {end!r}."
            )
        return size

    def _next_size(self) -> int:
        line = self._stream.readline(MOST_LINE)
        if not (said := SIZE.fullmatch(line)):
            raise MalformedRequest(
                f"Transfer-Encoding: a chunk should begin with its size in hexadecimal, got {line[:50]!r}."
            )
        return int(said[1], 16)

    def _skip_trailers(self) -> None:
        left = MOST_TRAILERS
        while (line := self._stream.readline(left)) != b"\r\n":
            left -= len(line)
            if not TRAILER.fullmatch(line):
                raise MalformedRequest(
                    f"Transfer-Encoding: headers and an empty line may follow the last chunk, got {line[:50]!r}."
                )


class Body(io.BufferedReader):
    """What the application reads of a request."""

    raw: Content

    @property
    def whole(self) -> bool:
        """Whether all of it has come: only then is what follows on the connection another request."""
        return self.raw.whole

    def _discard(self) -> None:
        """Nothing, where gevent would read on: a connection whose request was not read to its end is closed."""
