"""Clients: streams that are open together, and whole answers one after the other, down to the bytes.

This process shares the machine with those it measures, so it does as little as can be for what arrives: events are
counted by the empty line behind each.
"""

import json
import selectors
import socket
import statistics
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.cluster import Valkey
from tests.wire import request

END_OF_EVENT = b"\n\n"
NEWEST = 65536  # bytes of one read
PATIENCE = 60.0  # seconds in which streams begin


class Silent(Exception):
    """Streams that have not begun in time."""


def asking(model: str, key: str, **fields: Any) -> bytes:
    """A request for a chat."""
    messages = [{"role": "user", "content": "Tell me a long story."}]
    body = json.dumps({"model": model, "messages": messages} | fields).encode()
    return request(path="/v1/chat/completions", body=body, Authorization=f"Bearer {key}")


def commands(valkey: Valkey) -> int:
    """How many it has processed."""
    stats: Any = valkey.client.info("stats")
    return int(stats["total_commands_processed"])


class Stream:
    """One request that is answered with events."""

    __slots__ = ("arrivals", "asked", "connection", "first", "opened")

    def __init__(self, connection: socket.socket, asked: float) -> None:
        self.connection = connection
        self.asked = asked
        self.opened = 0.0  # when its first byte came
        self.first = 0.0  # when its first token came
        self.arrivals = array("d")  # when each token came, of those that are measured


class Readers:
    """Streams that are open together, read as fast as they come, or with a rest between: this process shares the
    machine with those it measures. All times are in seconds."""

    def __init__(self, url: str, rest: float = 0.0) -> None:
        self._rest = rest
        address = urlsplit(url)
        self._address = (address.hostname or "", address.port or 0)
        self._selector = selectors.DefaultSelector()
        self.streams: list[Stream] = []
        self.tokens = 0
        self.ended = 0

    def open(self, asked: bytes, gaps: Iterable[float]) -> None:
        """One more before each of these gaps, in which those that are open are read."""
        due = time.perf_counter()
        for gap in gaps:
            connection = socket.create_connection(self._address, timeout=PATIENCE)
            connection.setblocking(False)
            stream = Stream(connection, time.perf_counter())
            connection.sendall(asked)
            self._selector.register(connection, selectors.EVENT_READ, stream)
            self.streams.append(stream)
            due += gap
            self.read(due - time.perf_counter())

    def begin(self, patience: float = PATIENCE) -> None:
        """Until all streams have had a token: what a request costs is not what a token does."""
        until = time.perf_counter() + patience
        while silent := sum(not stream.first for stream in self.streams):
            if time.perf_counter() > until:
                raise Silent(f"{silent} of {len(self.streams)} streams have not begun in {patience:.0f} s")
            self.read(0.1)

    def read(self, seconds: float, *, keep: bool = False) -> int:
        """How many tokens came in that time; `keep` notes when each did."""
        before, until = self.tokens, time.perf_counter() + seconds
        while True:
            left = until - time.perf_counter()
            for key, _ in self._selector.select(max(left, 0)):
                self._receive(key.data, keep)
            if left <= 0:
                return self.tokens - before
            if self._rest:
                time.sleep(self._rest)

    def finish(self, patience: float = PATIENCE) -> None:
        """Until all streams have ended by themselves."""
        until = time.perf_counter() + patience
        while self.ended < len(self.streams):
            if time.perf_counter() > until:
                raise Silent(f"{len(self.streams) - self.ended} streams have not ended in {patience:.0f} s")
            self.read(0.1)

    def close(self) -> None:
        for stream in self.streams:
            stream.connection.close()
        self._selector.close()

    def _receive(self, stream: Stream, keep: bool) -> None:
        data = stream.connection.recv(NEWEST)
        now = time.perf_counter()
        if b'"error"' in data:
            raise AssertionError(f"a stream has failed: {data[-300:]!r}")
        if not data or data.endswith(b"0\r\n\r\n"):
            self._selector.unregister(stream.connection)
            self.ended += 1
        events = data.count(END_OF_EVENT)
        if not stream.opened:
            if not data.startswith(b"HTTP/1.1 200"):
                raise AssertionError(f"a stream was refused: {data[:300]!r}")
            stream.opened = now
        if not stream.first:
            # The first event names the role alone.
            if b'"content":" ' not in data and b'"content":"' not in data.replace(b'"content":""', b""):
                return
            stream.first = now
        self.tokens += events
        if keep:
            stream.arrivals.extend([now] * events)


@contextmanager
def readers(url: str, rest: float = 0.0) -> Iterator[Readers]:
    found = Readers(url, rest)
    try:
        yield found
    finally:
        found.close()


class Saturation(NamedTuple):
    """Whole answers, asked for by so many clients, each again as soon as it has one."""

    answers: int
    seconds: float
    latencies: list[float]


def saturate(url: str, question: bytes, clients: int, seconds: float) -> Saturation:
    """Connections are kept. Raises AssertionError where an answer is none."""
    address = urlsplit(url)
    selector = selectors.DefaultSelector()
    asked: dict[socket.socket, float] = {}
    latencies: list[float] = []
    try:
        for _ in range(clients):
            connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE)
            selector.register(connection, selectors.EVENT_READ)
            asked[connection] = time.perf_counter()
            connection.sendall(question)
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            for key, _ in selector.select(start + seconds - now):
                connection = key.fileobj  # type: ignore[assignment]
                data = connection.recv(NEWEST)
                assert data.startswith(b"HTTP/1.1 200"), f"an answer is none: {data[:300]!r}"
                while not _complete(data):
                    more = connection.recv(NEWEST)
                    assert more, f"an answer was cut off: {data[-300:]!r}"
                    data += more
                now = time.perf_counter()
                latencies.append(now - asked[connection])
                asked[connection] = now
                connection.sendall(question)
        return Saturation(len(latencies), time.perf_counter() - start, latencies)
    finally:
        for connection in asked:
            connection.close()
        selector.close()


def _complete(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return body.endswith(b"0\r\n\r\n")


def percentile(values: Sequence[float], part: float) -> float:
    """Of at least one value; linear between two."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[min(998, max(0, round(part * 1000) - 1))]
