"""What is no valid HTTP request: refused in the API's own shape, never read as two, and no line in the log."""

import json
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests

from tests.cluster import Cluster, Process
from tests.wire import Answer, answer, dial, remains, request

pytestmark = pytest.mark.integration

CHAT = b'{"messages":[{"role":"user","content":"echo here"}]}'
HIDDEN = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100f5010000f10303") + bytes(range(1, 200))
SOCKETS = "/socket.io/?EIO=4&transport="
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Content_Type": ""}


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in ("POST /v1/free/fast HTTP/1.1", "Host: x", *lines)).encode() + b"\r\n"


def chunked(body: bytes) -> bytes:
    return head("Content-Type: application/json", "X-API-Key: KEY", "Transfer-Encoding: chunked") + body


MALFORMED = {
    "no request line": b"hello\r\n\r\n",
    "two empty lines first": b"\r\n\r\n" + HIDDEN,
    "bare empty lines first": b"\n\n" + HIDDEN,
    "without a version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version at all": b"GET / HTTP/x\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "high bytes": b"\xff\xfe\xfd\r\n\r\n",
    "bad utf-8 in the address": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a nul in the address": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": TLS_HELLO,
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no colon": head("nonsense"),
    "a space before the colon": head("Transfer-Encoding : chunked"),
    "a header's name is not ascii": head("é: 1"),
    "a nul in a header": head("X-A: \0"),
    "a bare carriage return": head("X-A: a\rX-B: b"),
    "a length of letters": head("Content-Length: ten"),
    "a negative length": head("Content-Length: -1"),
    "a length with a sign": head("Content-Length: +5"),
    "a long length": head(f"Content-Length: {'9' * 5000}"),
    "two lengths": head("Content-Length: 5", "Content-Length: 6"),
    "two lengths in one": head("Content-Length: 5, 6"),
    "length and chunks": head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + HIDDEN,
    "an encoding that is none": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n" + HIDDEN,
    "two encodings": head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n" + HIDDEN,
    "chunks in http/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a chunk of no length": chunked(b"zz\r\n" + HIDDEN),
    "a chunk that is longer": chunked(b"1\r\nab\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's length too long": chunked(b"f" * 17 + b"\r\n" + HIDDEN),
    "a chunk of an empty length": chunked(b"\r\n\r\n" + HIDDEN),
    "a chunk of nothing but an extension": chunked(b";x\r\n" + HIDDEN),
    "a second chunk of an empty length": chunked(b"2\r\n{}\r\n\r\n" + HIDDEN),
    "a chunk's length with a sign": chunked(b"+2\r\n{}\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's length that ends bare": chunked(b"2\n{}\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's extension that hides a line": chunked(b"2;a\nzz\r\n{}\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's extension with a bare return": chunked(b"2;a\rzz\r\n{}\r\n0\r\n\r\n" + HIDDEN),
    "a chunk's extension without a name": chunked(b"2;=a\r\n{}\r\n0\r\n\r\n" + HIDDEN),
    "a trailer that hides a line": chunked(b"0\r\nX-A: a\nzz\r\n\r\n" + HIDDEN),
    "a trailer without a name": chunked(b"0\r\n: 1\r\n\r\n" + HIDDEN),
    "too long a trailer": chunked(b"0\r\nX-A: " + b"x" * 40_000 + b"\r\n\r\n" + HIDDEN),
    "a chunk's end missing": chunked(b"1\nab\r\n" + HIDDEN),
    "a chunk's extension too long": chunked(b"1;" + b"x" * 9000 + HIDDEN),
    "a trailer that is none": chunked(b"0\r\n\xff: 1\r\n\r\n" + HIDDEN),
    "a websocket without a key": request("GET", SOCKETS + "websocket", Sec_WebSocket_Version="13", **UPGRADE),
    "a websocket with a bad key": request(
        "GET", SOCKETS + "websocket", Sec_WebSocket_Version="13", Sec_WebSocket_Key="?", **UPGRADE
    ),
    "a websocket of no version": request("GET", SOCKETS + "websocket", Sec_WebSocket_Key="?", **UPGRADE),
}
TOO_LARGE = {
    "an address": request("GET", "/" + "x" * 40_000),
    "an address without an end": b"GET /" + b"x" * 40_000,
    "a header": head("X-A: " + "x" * 40_000),
    "many headers": head(*(f"X-{number}: 1" for number in range(200))),
}
VALID_BUT_ODD = {
    "no such method": request("BREW", "/"),
    "connect": request("CONNECT", "x:80"),
    "options for all": request("OPTIONS", "*"),
    "an absolute address": request("GET", "http://x/v1/models"),
    "bad escapes": request("GET", "/v1/%ff%zz%00?%ff=%fe&%"),
    "bad utf-8 in headers": request("GET", "/v1/models", Origin="\udcff"),
    "an odd origin": head("Origin: \x01\x7f"),
    "an odd range": request("GET", "/web/docs.js", Range="bytes=999999999-"),
    "an odd host": request("GET", "//v1//models", Host="[::1"),
    "no such session": request("POST", SOCKETS + "polling&sid=nobody", b"42"),
    "no such transport": request("GET", SOCKETS + "carrier-pigeon"),
    "an old version": request("GET", "/socket.io/?EIO=3&transport=polling"),
    "no such jsonp": request("GET", SOCKETS + "polling&j=x"),
    "another engine.io method": request("DELETE", SOCKETS + "polling", b"x"),
    "an upgrade of another address": request("GET", "/v1/models", Sec_WebSocket_Version="1", **UPGRADE),
    "an upgrade of a post": request("POST", SOCKETS + "websocket", CHAT, **UPGRADE),
    "an upgrade that is none": request("GET", SOCKETS + "websocket", Upgrade="websocket"),
    "an upgrade of no session": request(
        "GET",
        SOCKETS + "websocket&sid=x",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="A" * 22 + "==",
        **UPGRADE,
    ),
}
BREAKS_OFF = {
    "in the request line": b"GET /v1/mod",
    "in a header": head("X-A: 1")[:-7],
    "before a body": request(body=CHAT)[: -len(CHAT)],
    "in a body": request(body=CHAT)[:-5],
    "in a chunk's length": chunked(b"1"),
    "in a chunk": chunked(b"ff\r\nab"),
    "in a trailer": chunked(b"0\r\nX-A: 1"),
    "in a handshake": request("GET", SOCKETS + "websocket", **UPGRADE)[:-4],
}


@pytest.fixture(scope="module")
def key(simulated: Cluster) -> str:
    return simulated.key()


@pytest.fixture
def quiet(simulated: Cluster) -> Iterator[Process]:
    """The gateway; what is sent to it meanwhile must leave it in good health, and its operator undisturbed."""
    gateway = simulated.processes[0]
    with gateway.undisturbed():
        yield gateway
        assert requests.get(f"{simulated.url}/v1/models", timeout=10).ok


def exchange(running: Cluster, sent: bytes, key: str = "", method: str = "GET") -> Answer:
    with dial(running) as raw:
        raw.sendall(sent.replace(b"KEY", key.encode()))
        return answer(raw, method)


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_is_told_so_and_ends_the_connection(
    simulated: Cluster, quiet: Process, key: str, sent: bytes
) -> None:
    got = exchange(simulated, sent, key)
    assert (got.status, got.error["code"], got.closed) == (400, "malformed_request", True)
    assert set(got.error) == {"code", "message", "type", "param"}
    assert got.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_head_that_is_too_large_is_told_so(simulated: Cluster, quiet: Process, sent: bytes) -> None:
    got = exchange(simulated, sent)
    assert (got.status, got.error["code"], got.closed) == (431, "head_too_large", True)


@pytest.mark.parametrize("sent", VALID_BUT_ODD.values(), ids=VALID_BUT_ODD)
def test_what_is_odd_is_answered(simulated: Cluster, quiet: Process, sent: bytes) -> None:
    assert exchange(simulated, sent).status < 500


@pytest.mark.parametrize("sent", BREAKS_OFF.values(), ids=BREAKS_OFF)
@pytest.mark.parametrize("reset", [True, False])
def test_who_breaks_off_is_forgotten(
    simulated: Cluster, quiet: Process, key: str, sent: bytes, reset: bool
) -> None:
    with dial(simulated) as raw:
        raw.sendall(sent.replace(b"KEY", key.encode()))
        if reset:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            raw.shutdown(socket.SHUT_WR)
            assert b" 200 " not in remains(raw)


@pytest.mark.parametrize("encoding", ["Content-Length: 60", "Transfer-Encoding: chunked"])
def test_a_body_that_nobody_reads_is_no_request(simulated: Cluster, quiet: Process, encoding: str) -> None:
    """It is refused for its key before its body; the body holds another request."""
    sent = head("Content-Type: application/json", encoding) + HIDDEN
    got = exchange(simulated, sent)
    assert (got.status, got.closed) == (401, True)
    assert b"HTTP/1.1" not in got.body


def test_requests_in_one_go_are_answered_one_after_the_other(simulated: Cluster, quiet: Process, key: str) -> None:
    good = request(body=CHAT, X_API_Key=key)
    in_chunks = chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT)).replace(b"KEY", key.encode())
    with dial(simulated) as raw:
        raw.sendall(good + b"\r\n" + in_chunks + HIDDEN + b"nonsense\r\n\r\n")
        text = remains(raw)
    assert text.count(b"HTTP/1.1 200 OK") == 3
    assert text.count(b'{"response":"here"}') == 2
    assert text.count(b"HTTP/1.1 400 ") == 1


def test_chunks_may_have_extensions_and_trailers(simulated: Cluster, quiet: Process, key: str) -> None:
    framed = b'%x;a ; b=c;d="e; \\" f"\r\n%b\r\n%X\r\n%b\r\n000;z\r\nX-A: 1\r\nX-B:\r\n\r\n'
    sent = chunked(framed % (20, CHAT[:20], len(CHAT) - 20, CHAT[20:])).replace(b"KEY", key.encode())
    with dial(simulated) as raw:
        raw.sendall(sent + b"nonsense\r\n\r\n")
        text = remains(raw)
    assert (text.count(b'{"response":"here"}'), text.count(b"HTTP/1.1 400 ")) == (1, 1)


def test_a_body_of_hardly_anything_but_chunks_is_refused(simulated: Cluster, quiet: Process, key: str) -> None:
    got = exchange(simulated, chunked(b"1;x=y\r\nx\r\n" * 400_000), key)
    assert (got.status, got.error["code"], got.closed) == (413, "body_too_large", True)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/nothing", "/v1/free/fast", SOCKETS + "polling"])
@pytest.mark.parametrize("body", [b"", CHAT])
def test_head_is_answered_without_a_body(simulated: Cluster, quiet: Process, path: str, body: bytes) -> None:
    with dial(simulated) as raw:
        raw.sendall(request("HEAD", path, body, Connection="close"))
        got = remains(raw)
    assert got.endswith(b"\r\n\r\n")
    assert not got.startswith(b"HTTP/1.1 400")


def test_a_large_body_is_refused_where_its_sender_can_read_it(simulated: Cluster, quiet: Process) -> None:
    """Not by a reset of the connection while it is still sending."""
    with dial(simulated) as raw:
        raw.sendall(request(body=b"x" * 3_000_000, X_API_Key="wrong"))
        got = answer(raw)
    assert (got.status, got.error["code"], got.closed) == (401, "invalid_key", True)


def test_who_asks_before_sending_is_not_told_to_go_on_in_vain(
    simulated: Cluster, quiet: Process, key: str
) -> None:
    for secret, first in ((key, b"HTTP/1.1 100 "), ("wrong", b"HTTP/1.1 401 ")):
        with dial(simulated) as raw:
            raw.sendall(request(body=CHAT, X_API_Key=secret, Expect="100-continue")[: -len(CHAT)])
            assert raw.recv(65536).startswith(first)


def test_no_garbage_makes_a_line_in_the_log(simulated: Cluster, quiet: Process, key: str) -> None:
    """All of it, spoilt once more, cut at some places, and reset at once or in the midst of an answer."""
    chance = random.Random(7)
    all_of_it = [*MALFORMED.values(), *TOO_LARGE.values(), *VALID_BUT_ODD.values(), *BREAKS_OFF.values()]
    for sent in all_of_it * 3:
        spoilt = bytearray(sent.replace(b"KEY", key.encode()))
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        with suppress(OSError), dial(simulated, timeout=0.05) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.sendall(spoilt[: chance.randrange(1, 2 * len(spoilt))])
            if chance.random() < 0.5:
                raw.recv(10)
    good = exchange(simulated, request(body=CHAT, X_API_Key=key))
    assert (good.status, json.loads(good.body)) == (200, {"response": "here"})
