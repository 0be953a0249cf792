"""What browsers are told of every answer, and which pages may call from where."""

from typing import Any

import pytest
import requests
import socketio
import websocket

from gateway.safety import ALWAYS, BY_TLS
from tests.cluster import Cluster
from tests.wire import answer, dial, request

pytestmark = pytest.mark.integration

OURS, FOREIGN = "https://app.example", "https://evil.example"
CHAT: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "echo one"}]}
POLL = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture(scope="module")
def key(guarded: Cluster) -> str:
    return guarded.key()


def ask(running: Cluster, method: str, path: str, key: str = "", **more: Any) -> requests.Response:
    headers = more.pop("headers", {}) | ({"X-API-Key": key} if key else {})
    return requests.request(method, f"{running.url}{path}", headers=headers, timeout=20, **more)


ANSWERS = [
    ("GET", "/v1/models", 200),
    ("GET", "/", 200),
    ("GET", "/web/docs.js", 200),
    ("GET", "/web/nothing.js", 404),
    ("GET", "/docs/chat", 200),
    ("GET", "/llms.txt", 200),
    ("GET", "/status", 200),
    ("GET", "/playground", 200),
    ("GET", "/v1/status", 200),
    ("GET", "/reference", 200),
    ("GET", "/web/swagger/swagger-ui-bundle.js", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/favicon.ico", 204),
    ("HEAD", "/", 200),
    ("OPTIONS", "/v1/chat/completions", 200),
    ("GET", "/health", 200),
    ("GET", "/nothing", 404),
    ("PUT", "/v1/models", 405),
    ("GET", "/v1/usage", 401),
    ("GET", "/v1/admin/keys", 401),
    ("POST", "/v1/messages", 401),
    ("GET", POLL, 200),
    ("GET", POLL + "&sid=nobody", 400),
    ("GET", "/socket.io/?transport=carrier-pigeon", 400),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
@pytest.mark.parametrize("by", ["", "http", "https"])
def test_every_answer_says_how_little_may_be_done_with_it(
    guarded: Cluster, method: str, path: str, status: int, by: str
) -> None:
    response = ask(guarded, method, path, headers={"X-Forwarded-Proto": by} if by else {})
    assert response.status_code == status
    check(response.headers, tls=by == "https")


def check(headers: Any, *, tls: bool = False) -> None:
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"]
    assert headers.get("Strict-Transport-Security") == (BY_TLS["Strict-Transport-Security"] if tls else None)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_so_do_streams_and_answers(guarded: Cluster, key: str, path: str, stream: bool) -> None:
    response = ask(guarded, "POST", path, key, json=CHAT | {"stream": stream, "max_tokens": 5})
    assert response.status_code == 200
    check(response.headers)
    assert response.headers["Cache-Control"] == ("no-cache" if stream else "no-store")


def test_so_do_refusals_that_reach_no_application(guarded: Cluster) -> None:
    with dial(guarded) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        got = answer(raw)
    assert got.status == 400
    assert {name: got.headers.get_all(name) for name in ALWAYS} == {name: [v] for name, v in ALWAYS.items()}


def test_each_is_there_once(guarded: Cluster) -> None:
    for path in ("/", "/reference", "/v1/models", POLL):
        with dial(guarded) as raw:
            raw.sendall(request("GET", path, X_Forwarded_Proto="https"))
            headers = answer(raw).headers
        assert all(len(headers.get_all(name, [])) == 1 for name in ALWAYS | BY_TLS), path


def test_pages_have_no_script_of_their_own(guarded: Cluster) -> None:
    for path in ("/", "/reference"):
        response = ask(guarded, "GET", path)
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["Permissions-Policy"].startswith("camera=()")
        assert "<script>" not in response.text
        assert " style=" not in response.text
        assert " onclick=" not in response.text


def test_without_a_trusted_proxy_nobody_says_what_is_tls(simulated: Cluster) -> None:
    response = ask(simulated, "GET", "/v1/models", headers={"X-Forwarded-Proto": "https"})
    check(response.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("DELETE", "/v1/jobs/job_1"),
        ("PATCH", "/v1/admin/accounts/acc_1"),
        ("PATCH", "/v1/admin/keys/key_1"),
    ],
)
def test_pages_of_the_origin_that_is_named_may_call(guarded: Cluster, method: str, path: str) -> None:
    asked = {
        "Origin": OURS,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key,content-type",
    }
    response = ask(guarded, "OPTIONS", path, headers=asked)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == OURS
    assert method in response.headers["Access-Control-Allow-Methods"].split(", ")
    assert "x-api-key" in response.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in response.headers
    response = ask(guarded, method, path, headers={"Origin": OURS})
    assert response.headers["Access-Control-Allow-Origin"] == OURS


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", f"{OURS}.evil.example", OURS.upper(), f"{OURS}:8443", "http://app.example", "*"]
)
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_those_of_another_may_not(guarded: Cluster, origin: str, method: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for path in ("/v1/models", "/v1/usage", "/nothing"):
        response = ask(guarded, method, path, headers=asked)
        assert not [name for name in response.headers if name.startswith("Access-Control-")]
        assert response.headers["Vary"] == "Origin"
    response = ask(guarded, method, POLL, headers=asked)
    assert response.status_code == 400
    assert "Access-Control-Allow-Origin" not in response.headers
    assert '"sid"' not in response.text


def test_socket_io_asks_the_same_of_pages(guarded: Cluster) -> None:
    response = ask(guarded, "GET", POLL, headers={"Origin": OURS})
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, OURS)
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(("origin", "welcome"), [(OURS, True), (FOREIGN, False), ("null", False)])
def test_a_websocket_is_for_the_same_pages(guarded: Cluster, origin: str, welcome: bool) -> None:
    """Browsers ask nobody before they open one."""
    url = guarded.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    client = websocket.create_connection(url, timeout=10, origin=origin)
    raw = client.sock
    try:
        assert client.recv().startswith("0") == welcome
    except websocket.WebSocketException:
        assert not welcome
    finally:
        client.close()
        raw.close()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_programs_that_are_no_pages_may(guarded: Cluster, key: str, transport: str) -> None:
    """They say no origin, or that of the server itself."""
    assert ask(guarded, "POST", "/v1/chat/completions", key, json=CHAT).status_code == 200
    client = socketio.Client(reconnection=False)
    client.connect(guarded.url, transports=[transport], wait_timeout=10)
    assert client.transport() == transport
    client.disconnect()
