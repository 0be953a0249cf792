"""Keys in logs: there are none, however they are sent, and whatever is logged."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import requests
import websocket

from shared.key_format import new_secret
from tests.cluster import Cluster, wait_for
from tests.frames import TEXT, connect, frame
from tests.wire import answer, dial, remains, request

pytestmark = pytest.mark.integration

CHAT = {"model": "fast", "messages": [{"role": "user", "content": "echo hello"}]}
NAMES = ("X-API-Key", "Authorization", "Cookie", "X-Request-Id", "Idempotency-Key", "Origin", "X-Forwarded-For")


@pytest.fixture(scope="module")
def key(guarded: Cluster) -> str:
    return guarded.key()


@pytest.fixture(params=["right", "wrong"])
def secret(request: pytest.FixtureRequest, key: str) -> str:
    """A key, as its holder has it, or as somebody has it who guesses."""
    return key if request.param == "right" else new_secret()


@pytest.fixture(autouse=True)
def told(guarded: Cluster, secret: str) -> Iterator[None]:
    """What is done meanwhile puts no key into any log, and no part of one."""
    yield
    logs = [log.read_text(errors="replace") for log in guarded.folder.rglob("*.log")]
    assert any("listening on" in log for log in logs)
    part = secret.removeprefix("sk-crof-")
    for piece in (part, part[:16], part[-16:]):
        assert not any(piece in log for log in logs)


def marked(guarded: Cluster) -> None:
    """A request whose line in the log shows that all before it have theirs."""
    mark = f"mark-{uuid.uuid4().hex}"
    headers = {"X-API-Key": guarded.key(), "X-Request-Id": mark}
    assert requests.post(f"{guarded.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=20).ok
    wait_for(lambda: mark in guarded.processes[0].log.read_text(), 5, "the log's line")


@contextmanager
def joined(guarded: Cluster) -> Iterator[websocket.WebSocket]:
    client = connect(guarded)
    raw = client.sock
    yield client
    client.close()
    raw.close()  # which the client forgets when the server hangs up


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("header", ["X-API-Key: {}", "Authorization: Bearer {}", "X-API-Key:   {}  "])
def test_in_its_header(guarded: Cluster, secret: str, header: str, stream: bool) -> None:
    name, _, value = header.format(secret).partition(":")
    for body in (CHAT | {"stream": stream}, CHAT | {"model": secret}, CHAT | {secret: 1}):
        requests.post(f"{guarded.url}/v1/chat/completions", json=body, headers={name: value.lstrip()}, timeout=20)
    marked(guarded)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/usage", "/v1/admin/keys", "/v1/chat/completions", "/nothing"])
@pytest.mark.parametrize("query", ["?key={}", "?api_key={}&{}={}", "?limit={}", "/{}", "/{}?x={}"])
def test_in_an_address(guarded: Cluster, secret: str, path: str, query: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        url = f"{guarded.url}{path}{query.replace('{}', secret)}"
        requests.request(method, url, json=CHAT, headers={"X-API-Key": secret}, timeout=20)
    marked(guarded)


@pytest.mark.parametrize("name", NAMES)
def test_in_a_header_that_is_not_for_it(guarded: Cluster, secret: str, name: str) -> None:
    for value in (secret, f"Basic {secret}", f"key={secret}"):
        with dial(guarded) as raw:
            raw.sendall(request(body=json.dumps(CHAT).encode(), **{name: value}))
            answer(raw, "POST")
    marked(guarded)


@pytest.mark.parametrize(
    "sent",
    [
        "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key {key}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n{key}: 1\x00\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key : {key}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: a\x01{key}\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {key}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {key}\r\n\r\n",
        "GET /?key={key} HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /?key= {key} HTTP/1.1\r\nHost: x\r\n\r\n",
        "{key} / HTTP/1.1\r\nHost: x\r\n\r\n",
        "{key}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}",
        "POST /v1/free/fast HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n\r\n",
    ],
)
def test_in_what_is_no_request(guarded: Cluster, secret: str, sent: str) -> None:
    with dial(guarded) as raw:
        raw.sendall(sent.replace("{key}", secret).encode("latin-1"))
        raw.shutdown(1)
        remains(raw)
    marked(guarded)


@pytest.mark.parametrize(
    "body",
    [
        {"token": "{}"},
        {"key": "{}", "messages": []},
        {"messages": [{"role": "{}", "content": "{}"}]},
        {"messages": [{"role": "user", "content": "echo {}"}]},
        {"messages": [{"role": "user", "content": "fail {}"}], "user": "{}"},
        {"messages": "{}", "model": "{}"},
        {"messages": [{"role": "user", "content": "x"}], "max_tokens": "{}"},
    ],
)
def test_in_a_body(guarded: Cluster, key: str, secret: str, body: object) -> None:
    sent = json.dumps(body).replace("{}", secret)
    for path in ("/v1/free/fast", "/v1/chat/completions", "/v1/messages", "/v1/completions", "/v1/admin/accounts"):
        for data in (sent, sent[:-1], sent.replace('"', "")):
            headers = {"X-API-Key": key, "Content-Type": "application/json"}
            requests.post(f"{guarded.url}{path}", data=data, headers=headers, timeout=20)
    marked(guarded)


def test_over_socket_io(guarded: Cluster, secret: str) -> None:
    prompt = {"model": "fast", "context": [{"role": "user", "content": "echo one"}], "token": secret}
    with joined(guarded) as client:
        for event in (
            ["start_stream", secret],
            ["start_stream", {"key": secret}],
            ["prompt", prompt],
            ["prompt", json.dumps(prompt)],
            ["prompt", prompt | {"model": secret}],
            ["prompt", f"{secret}"],
            ["resume", {"job": secret, "token": secret}],
            ["cancel", {"job": secret, "token": secret}],
            [secret, secret],
            ["connect", secret],
        ):
            with suppress(OSError, websocket.WebSocketException):
                client.send(f"42{json.dumps(event)}")
        client.settimeout(1)
        with suppress(OSError, websocket.WebSocketException):
            while client.recv():
                pass
    marked(guarded)


@pytest.mark.parametrize("text", ["{}", "40/{},", '40{{"token":"{}"}}', "45{}-", "6{}", "\x00{}"])
def test_in_packets_that_are_none(guarded: Cluster, secret: str, text: str) -> None:
    with joined(guarded) as client, suppress(OSError, websocket.WebSocketException):
        client.sock.sendall(frame(TEXT, text.format(secret).encode()))
        client.settimeout(0.3)
        client.recv()
    marked(guarded)


@pytest.mark.parametrize(
    "query", ["sid={}", "transport={}", "EIO={}", "transport=polling&EIO=4&key={}", "transport=polling&EIO=4&j={}"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_in_the_address_of_socket_io(guarded: Cluster, secret: str, query: str, method: str) -> None:
    for origin in ({}, {"Origin": f"https://{secret}.example"}):
        url = f"{guarded.url}/socket.io/?{query.format(secret)}"
        requests.request(method, url, data=secret, headers=origin, timeout=20)
    marked(guarded)
