"""Leaving is noticed when it happens, not when somebody looks."""

import socket
from collections.abc import Iterator

import pytest
from gevent.event import Event

from gateway.presence import Connected, Presence
from tests.cluster import wait_for

pytestmark = pytest.mark.integration

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client's end of a connection, and ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with client, ours:
        yield client, ours


@pytest.mark.parametrize("how", [lambda client: client.close(), lambda client: client.shutdown(socket.SHUT_WR)])
def test_leaving_is_told(pair: Pair, how: object) -> None:
    (client, ours), told = pair, Event()
    presence = Connected(ours)
    with presence.watch(told.set):
        assert not told.wait(0.02)
        assert not presence.left()
        how(client)  # type: ignore[operator]
        assert told.wait(5)
        assert presence.left()


def test_a_next_request_is_no_leaving(pair: Pair) -> None:
    (client, ours), told = pair, Event()
    presence = Connected(ours)
    with presence.watch(told.set):
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert not told.wait(0.05)
        assert not presence.left()
        client.close()
        ours.recv(100)  # the next look finds what was behind it
        wait_for(presence.left, 5, "the end to be seen")


def test_a_connection_that_we_closed_is_left(pair: Pair) -> None:
    _, ours = pair
    told = Event()
    ours.close()
    with Connected(ours).watch(told.set):
        assert told.is_set()
    assert Connected(ours).left()


def test_who_is_served_by_a_greenlet_of_its_own_is_there() -> None:
    told = Event()
    with Presence().watch(told.set):
        assert not Presence().left()
    assert not told.is_set()
