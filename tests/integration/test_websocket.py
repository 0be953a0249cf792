"""The websocket below Socket.IO, with clients that do not behave."""

import json
import socket
from contextlib import suppress
from typing import Any

import pytest
import websocket

from tests.cluster import Cluster
from tests.frames import connect

pytestmark = pytest.mark.integration

MOST = 1_000_000  # CROFAI_MAX_BODY_BYTES
KEY = b"\x01\x02\x03\x04"


@pytest.fixture
def client(simulated: Cluster) -> Any:
    client = connect(simulated)
    raw = client.sock
    yield client
    client.close()
    raw.close()  # which the client forgets when the server hangs up


def frame(first: int, length: int, payload: bytes = b"") -> bytes:
    """A masked frame that says it has `length` bytes; the payload is sent as it stands."""
    return bytes([first, 0x80 | 127]) + length.to_bytes(8, "big") + KEY + payload


def closing_code(client: Any) -> int:
    """The code of the close that ends the connection."""
    opcode, data = client.recv_data(control_frame=True)
    while opcode != websocket.ABNF.OPCODE_CLOSE:
        opcode, data = client.recv_data(control_frame=True)
    return int.from_bytes(data[:2], "big")


def test_a_frame_that_is_too_long_is_refused_by_its_header(client: Any) -> None:
    client.sock.sendall(frame(0x81, MOST + 1))
    assert closing_code(client) == 1009


def test_so_are_parts_that_are_too_long_together(client: Any) -> None:
    half = frame(0x01, MOST // 2, b"x" * (MOST // 2))
    client.sock.sendall(half + frame(0x00, MOST // 2, b"x" * (MOST // 2)) + frame(0x00, 1, b"x"))
    assert closing_code(client) == 1009


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x01a", 1002),  # not masked
        (b"\xc1\x80" + KEY, 1002),  # a reserved bit
        (frame(0x81, 2, b"\xff\xff"), 1007),  # not UTF-8
        (b"\x83\x80" + KEY, 1002),  # a reserved opcode
        (b"\x80\x80" + KEY, 1002),  # a continuation of nothing
    ],
)
def test_what_is_no_frame_ends_the_connection(client: Any, sent: bytes, code: int) -> None:
    client.sock.sendall(sent)
    assert closing_code(client) == code


def test_the_largest_message_passes(client: Any, simulated: Cluster) -> None:
    text = "echo " + "é" * 490_000
    prompt = {"model": "fast", "context": [{"role": "user", "content": text}], "token": simulated.key()}
    event = "42" + json.dumps(["prompt", prompt], ensure_ascii=False)
    assert MOST - 20_000 < len(event.encode()) <= MOST
    client.send(event)
    got = ""
    while not got.endswith("ENDOFMESSAGE"):
        packet = client.recv()
        if packet.startswith('42["chunk"'):
            got += json.loads(packet[2:])[1]
    assert got == text[5:] + "ENDOFMESSAGE"


def test_wrong_keys_end_the_connection(client: Any) -> None:
    for _ in range(1000):
        try:
            client.send('42["start_stream","sk-crof-wrong"]')
        except (OSError, websocket.WebSocketException):
            break
    errors = 0
    with suppress(OSError, websocket.WebSocketException):  # the connection's end, however it shows
        while packet := client.recv():
            errors += packet.startswith('42["error"')
    assert errors == 5


def test_a_client_that_only_asks_is_cut_off(client: Any) -> None:
    """Each of these packets is answered with another; nobody reads those."""
    packet = frame(0x81, 1, bytes([ord("5") ^ KEY[0]]))
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with pytest.raises(OSError):
        for _ in range(20_000):
            client.sock.sendall(packet * 1000)
