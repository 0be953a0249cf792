"""Socket.IO clients whose connection is ended: each is told why, in whichever way it can be."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import websocket

from tests.cluster import Cluster, Process, wait_for
from tests.frames import BINARY, TEXT, connect, frame
from tests.integration.test_sockets import Client
from tests.wire import answer, dial, request

pytestmark = pytest.mark.integration

MOST = 1_000_000  # CROFAI_MAX_BODY_BYTES
SEPARATOR = "\x1e"
TOO_MANY = SEPARATOR.join(["3"] * 65)

POSTS: dict[str, tuple[bytes, int, str]] = {
    "too many packets": (TOO_MANY.encode(), 400, "64 packets"),
    "too many bytes": (b"42" + b"x" * MOST, 413, "1000000 bytes"),
    "no packets": (b"hello", 400, "packets"),
    "nothing": (SEPARATOR.encode(), 400, "packets"),
    "bad utf-8": (b"42\xff", 400, "UTF-8"),
    "bad base64": (b"bA", 400, "packets"),
    "jsonp of nothing": (b"d=", 400, "packets"),
    "a server's packet": (b"2", 400, "type 2"),
    "an unknown packet": (b"9", 400, "type 9"),
    "depth": (b"4" + b"[" * 100_000, 400, "packets"),
}
IGNORED = {
    "the end, and more": f'1{SEPARATOR}42["prompt",1]{SEPARATOR}421["prompt",1]{SEPARATOR}40{SEPARATOR}5',
    "leaving, and more": f'41{SEPARATOR}421["prompt",1]{SEPARATOR}41',
    "joining twice": f"40{SEPARATOR}40{SEPARATOR}40/stream,{SEPARATOR}40/nix,",
    "odd keys": '42["start_stream",{"a":[]}]',
    "odd credentials": '41\x1e40{"token":[1,{"a":null}]}\x1e40[]\x1e401',
    "acknowledgements": '43["x"]\x1e4399[]\x1e43-1[]',
}


@pytest.fixture(autouse=True)
def quiet(simulated: Cluster) -> Iterator[Process]:
    """The gateway, whose operator hears nothing of it."""
    gateway = simulated.processes[0]
    before = gateway.log.stat().st_size
    yield gateway
    assert not re.search(rb"WARNING|ERROR|Traceback|dismissed", gateway.log.read_bytes()[before:])


class Poller:
    """A client that polls, and has joined the namespace /."""

    def __init__(self, running: Cluster) -> None:
        self.url = f"{running.url}/socket.io/?EIO=4&transport=polling"
        self.url += f"&sid={json.loads(self.poll()[0][1:])['sid']}"
        assert self.post(b"40").text == "OK"
        assert self.poll()[0].startswith("40")

    def post(self, body: Any) -> requests.Response:
        return requests.post(self.url, data=body, timeout=20)

    def poll(self) -> list[str]:
        return requests.get(self.url, timeout=20).text.split(SEPARATOR)


@pytest.mark.parametrize(("body", "status", "words"), POSTS.values(), ids=POSTS)
@pytest.mark.parametrize("in_parts", [False, True])
def test_a_post_that_cannot_be_taken_is_told_twice(
    simulated: Cluster, body: bytes, status: int, words: str, in_parts: bool
) -> None:
    client = Poller(simulated)
    refused = client.post(iter([body]) if in_parts else body)
    error = refused.json()["error"]
    assert refused.status_code == status
    assert words in error["message"]
    event, end = client.poll()
    name, told = json.loads(event[2:])
    assert (name, told["code"], told["message"], end) == ("error", error["code"], error["message"], "1")
    wait_for(lambda: client.post(b"3").status_code == 400, 10, "the session to end")


@pytest.mark.parametrize("framed", [b"\r\n\r\n", b";x\r\n\r\n", b"2\r\n40\r\n\r\n", b"2;a\nzz\r\n40\r\n0\r\n\r\n"])
def test_chunks_that_are_none_are_refused_with_a_reason(simulated: Cluster, framed: bytes) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    head = request("POST", path, Content_Length="", Transfer_Encoding="chunked")
    with dial(simulated) as raw:
        raw.sendall(head + framed)
        got = answer(raw)
    assert (got.status, got.error["code"], got.closed) == (400, "malformed_request", True)


@pytest.mark.parametrize("body", IGNORED.values(), ids=IGNORED)
def test_odd_packets_are_nobodys_trouble(simulated: Cluster, body: str) -> None:
    assert Poller(simulated).post(body.encode()).status_code in (200, 400)


@pytest.mark.parametrize("body", IGNORED.values(), ids=IGNORED)
def test_nor_are_they_over_a_websocket(simulated: Cluster, body: str) -> None:
    client = connect(simulated)
    # At once: the first of them may be the end, after which nothing is taken.
    client.sock.sendall(b"".join(frame(TEXT, packet.encode()) for packet in body.split(SEPARATOR)))
    client.close(timeout=1)


def test_64_packets_are_taken(simulated: Cluster) -> None:
    assert Poller(simulated).post(TOO_MANY[2:].encode()).text == "OK"


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_websocket_message_that_is_too_long_is_told_twice(simulated: Cluster, kind: int) -> None:
    """Whoever sends it all before it reads must be able to read."""
    client = connect(simulated)
    client.sock.sendall(frame(kind, b"4" * (MOST + 500_000)))
    name, told = json.loads(client.recv()[2:])
    assert (name, told["code"], told["status"]) == ("error", "body_too_large", 413)
    assert client.recv() == "1"
    opcode, data = client.recv_data(control_frame=True)
    assert (opcode, int.from_bytes(data[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1009)
    assert data[2:] == b"a message may have 1000000 bytes"
    client.shutdown()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_usual_client_sees_why(simulated: Cluster, transport: str) -> None:
    client = Client(simulated.url, "/", transports=[transport])
    client.emit("prompt", {"model": "fast", "context": [{"role": "user", "content": "x" * 1_500_000}]})
    wait_for(lambda: client.of("error"), 10, "the error")
    assert client.of("error")[0]["code"] == "body_too_large"
    client.close()


def test_a_websocket_of_no_session_is_told(simulated: Cluster) -> None:
    address = simulated.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket&sid=gone"
    client = websocket.create_connection(address, timeout=10)
    opcode, data = client.recv_data(control_frame=True)
    assert (opcode, int.from_bytes(data[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1008)
    assert b"connect anew" in data
    client.shutdown()
