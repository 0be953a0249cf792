"""Chunks that go past the greenlet of their request, through the real server, to clients that take all or
little."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

import gevent
import msgspec
import pytest
from flask import Flask, Response, request
from gevent import socket
from gevent.pywsgi import WSGIServer

from gateway.admission import Answer, _record
from gateway.api import messages
from gateway.api.streams import WORDINGS, Wording, stream
from gateway.http import PRESENCE, Handler
from gateway.presence import Presence
from gateway.relay import DROWSY, Relay
from shared.errors import Timeout
from shared.messages import Chunk, End, Job, Usage

NOBODY: Any = None
LARGE = 15_000  # bytes of a chunk, of which a client that reads nothing soon takes no more


class Nowhere:
    """Of jobs that stand in no line."""

    def place(self, job: Any) -> None:
        return None


class Served:
    """A server of one job, whose chunks the test deals out."""

    def __init__(self) -> None:
        self.relay = Relay(NOBODY, "gateway", NOBODY, inbox_bytes=1 << 24, outage_timeout=1)
        self.wording: Any = lambda answer: WORDINGS["chat"]
        self.presence: Presence
        self.passed: list[bytes] = []
        app = Flask("express")
        app.add_url_rule("/", "answer", self._answer)
        handler = type("_Handler", (Handler,), {"timeout": 20.0, "most_bytes": 1 << 20})
        self._server = WSGIServer(("127.0.0.1", 0), app, handler_class=handler, log=None)
        self._server.start()
        self._clients: list[socket.socket] = []
        self._next = 1

    def _answer(self) -> Response:
        self.presence = request.environ[PRESENCE]
        write = self.presence.write
        self.presence.write = lambda data: (self.passed.append(data), write(data))[1]  # type: ignore[assignment,method-assign,func-returns-value]
        return stream(self._under_way(), self.wording)

    @contextmanager
    def _under_way(self) -> Iterator[Answer]:
        now = time.time()
        names = {name: "x" for name in ("id", "model", "account", "tier", "reply_to", "request", "trace")}
        job = Job(kind="chat", body={}, created=now, deadline=now + 600, **names)
        with self.relay.inbox("x") as inbox:
            answer = Answer(
                _record(job),
                self.relay.follow(inbox, job.deadline, self.presence),
                inbox,
                Nowhere(),
                resumable=True,
            )
            try:
                yield answer
            finally:
                answer.close()

    def ask(self, version: str = "1.1", **options: int) -> socket.socket:
        """A client that has asked, and whose request waits for chunks."""
        client = socket.socket()
        self._clients.append(client)
        for name, value in options.items():
            client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        client.connect(("127.0.0.1", self._server.server_port))
        client.settimeout(10)
        client.sendall(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        with gevent.Timeout(10):
            while not self.relay._inboxes:
                gevent.sleep(0.001)
        return client

    def deal(self, *chunks: Chunk) -> None:
        """Chunks come, each in a message of its own."""
        for chunk in chunks:
            for inbox in self.relay._inboxes["x"]:
                inbox.deliver(self._next, [chunk])
            self._next += 1
            gevent.sleep(0)
            gevent.sleep(0.002)  # what is woken comes to its next wait

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._server.stop(timeout=1)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


def said(text: str) -> Chunk:
    return Chunk(1, [1], msgspec.Raw(msgspec.json.encode({"choices": [{"index": 0, "delta": {"content": text}}]})))


END = Chunk(1, [], end=End(state="succeeded", usage=Usage()))


def read(client: socket.socket) -> bytes:
    """The body of the answer, as a client takes it that keeps to its framing."""
    response = HTTPResponse(client)
    response.begin()
    return response.read()


def texts(body: bytes) -> list[str]:
    return [text.decode() for text in re.findall(rb'"(?:content|text)":"([^"]+)"', body)]


def test_all_but_the_first_and_the_last_go_past(served: Served) -> None:
    client = served.ask()
    served.deal(said("a"), said("b"), said("c"), END)
    assert texts(read(client)) == ["a", "b", "c"]
    assert [texts(each) for each in served.passed] == [["b"], ["c"]]


def test_the_first_is_the_readers_also_behind_a_comment(served: Served) -> None:
    """Who notes when it came."""
    client = served.ask()
    (inbox,) = served.relay._inboxes["x"]
    for _ in range(2):
        inbox.tick()
        gevent.sleep(0.002)
    served.deal(said("a"), said("b"), END)
    body = read(client)
    assert body.startswith(b":")
    assert texts(body) == ["a", "b"]
    assert [texts(each) for each in served.passed] == [["b"]]


def test_what_is_worded_as_nothing_does_not_end_the_answer(served: Served) -> None:
    served.wording = messages._wording
    client = served.ask()
    served.deal(said("a"), said(""), said("b"), END)
    answer = read(client)
    assert b"" in served.passed
    assert texts(answer) == ["a", "b"]
    assert answer.count(b"message_stop") == 2  # the event's name, and its type


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_is_behind_gets_all_of_it_once(served: Served, version: str) -> None:
    client = served.ask(version, SO_RCVBUF=4096)
    words = [f"{number}-" + "x" * LARGE for number in range(400)]
    served.deal(*map(said, words))
    assert len(served.passed) < len(words) - 1, "some were the reader's"
    reading = gevent.spawn(read, client)
    gevent.sleep(0)
    served.deal(END)
    assert texts(reading.get(timeout=20)) == words


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_a_client_has_not_taken_is_sent_at_the_end_of_all(served: Served, version: str) -> None:
    """Also where nothing else is said after it."""
    chat = WORDINGS["chat"]
    silent = Wording(lambda some, number: b"" if some[-1].end else chat.chunks(some, number), chat.failure, b"")
    served.wording = lambda answer: silent
    client = served.ask(version, SO_RCVBUF=4096)
    words = ["a"]
    served.deal(said("a"))
    with gevent.Timeout(10):
        while served.presence.takes():
            words.append("x" * LARGE)
            served.deal(said(words[-1]))
    reading = gevent.spawn(read, client)
    served.deal(END)
    assert texts(reading.get(timeout=10)) == words


def test_chunks_are_worded_once(served: Served) -> None:
    """A wording may know what it has said."""
    worded: list[int | None] = []

    def chunks(some: list[Chunk], number: int | None) -> bytes:
        worded.append(number)
        return WORDINGS["chat"].chunks(some, number)

    served.wording = lambda answer: Wording(chunks, WORDINGS["chat"].failure, b"")
    client = served.ask(SO_RCVBUF=4096)
    served.deal(*[said("x" * LARGE) for _ in range(400)])
    reading = gevent.spawn(read, client)
    served.deal(END)
    reading.get(timeout=20)
    numbers = [number for number in worded if number is not None]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 401


def test_who_is_passed_looks_around_now_and_then(served: Served) -> None:
    client = served.ask()
    served.deal(said("a"), said("b"))
    (inbox,) = served.relay._inboxes["x"]
    for _ in range(DROWSY):
        inbox.tick()
        inbox._came = True  # nobody is quiet
    served.deal(said("c"), said("d"), END)
    assert texts(read(client)) == ["a", "b", "c", "d"]
    assert [texts(each) for each in served.passed] == [["b"], ["d"]]


def test_a_deadline_ends_an_answer_that_never_pauses() -> None:
    relay = Relay(NOBODY, "gateway", NOBODY, inbox_bytes=1 << 20, outage_timeout=1)
    ticking = gevent.spawn(relay.tick)
    with relay.inbox("x") as inbox:
        inbox.express = lambda number, chunks: True
        following = gevent.spawn(list, relay.follow(inbox, time.time() + 0.1, Presence()))
        with gevent.Timeout(20):
            for number in range(1, 100_000):
                inbox.deliver(number, [said("a")])
                gevent.sleep(0.005)
                if following.dead:
                    break
        with pytest.raises(Timeout):
            following.get(timeout=1)
    ticking.kill()
