"""Clients that send bit by bit: slow ones are waited for, those that only hold the connection are not."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from gateway.intake import SLOWEST
from tests.cluster import Cluster, cluster
from tests.conftest import simulated_model
from tests.frames import connect
from tests.wire import answer, dial, request

pytestmark = pytest.mark.integration

PATIENCE = {"ping_interval": 1, "ping_timeout": 1}
ALLOWED = sum(PATIENCE.values())  # seconds for a head, and for a body before its rate counts


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slow"), {"m": simulated_model()}, **PATIENCE) as running:
        running.start_gateway()
        yield running


def drip(raw: socket.socket, sent: bytes, *, pace: float) -> float:
    """Send at so many bytes a second until there is an answer; the seconds it took."""
    start, step = time.monotonic(), max(1, int(pace / 10))
    raw.settimeout(step / pace)
    for at in range(0, len(sent), step):
        raw.sendall(sent[at : at + step])
        try:
            raw.recv(1, socket.MSG_PEEK)
            break
        except TimeoutError:
            pass  # the pace
    raw.settimeout(20)
    return time.monotonic() - start


def chat(running: Cluster, body: bytes, *, in_chunks: bool = False) -> bytes:
    """A request whose body is read: its key is right."""
    whole = request(path="/v1/free/m", body=body, X_API_Key=running.key())
    return whole.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked") if in_chunks else whole


@pytest.mark.parametrize("kind", ["head", "body", "chunks", "polling"])
def test_who_holds_a_connection_is_told_and_cut_off(running: Cluster, kind: str) -> None:
    sent = {
        "head": request("GET", "/" + "x" * 1000),
        "body": chat(running, b"x" * 1000),
        "chunks": chat(running, b"3e8\r\n" + b"x" * 1000, in_chunks=True),
        "polling": request(path=f"/socket.io/?EIO=4&transport=polling&sid={session(running)}", body=b"x" * 1000),
    }[kind]
    head = 0 if kind == "head" else sent.index(b"\r\n\r\n") + 4
    with dial(running) as raw:
        start = time.monotonic()  # before anything that the gateway may count from
        raw.sendall(sent[:head])
        drip(raw, sent[head:], pace=20)
        took = time.monotonic() - start
        got = answer(raw)
    assert (got.status, got.error["code"], got.closed) == (408, "request_timeout", True)
    assert ALLOWED <= took < ALLOWED + 10, "all of it would take 50 s"


def session(running: Cluster) -> str:
    opened = requests.get(f"{running.url}/socket.io/?EIO=4&transport=polling", timeout=10).text
    return str(json.loads(opened[1:])["sid"])


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_slow_sender_is_waited_for(running: Cluster, in_chunks: bool) -> None:
    body = b"x" * 12 * SLOWEST
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if in_chunks else body
    with dial(running) as raw:
        took = drip(raw, chat(running, framed, in_chunks=in_chunks), pace=3 * SLOWEST)
        got = answer(raw)
    assert took > 1.5 * ALLOWED
    assert (got.status, got.error["code"]) == (400, "invalid_request")


def test_waiting_between_requests_does_not_count(running: Cluster) -> None:
    with dial(running) as raw:
        for _ in range(2):
            time.sleep(0.75 * ALLOWED)
            drip(raw, request("GET", "/v1/models"), pace=80)
            assert answer(raw).status == 200


def test_a_connection_of_nothing_ends_without_a_word(running: Cluster) -> None:
    with dial(running) as raw:
        assert raw.recv(1) == b""


def test_who_answers_pings_goes_on_getting_them(running: Cluster) -> None:
    """A client that hears none for long takes the connection for dead."""
    client = connect(running)
    for _ in range(3):
        while client.recv() != "2":
            pass
        client.send("3")
    client.shutdown()
