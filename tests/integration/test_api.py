"""The JSON dialects over a whole simulated cluster."""

import ast
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import pytest
import requests

from tests.cluster import Cluster, wait_for
from tests.wire import dial, request

pytestmark = pytest.mark.integration

TURN = {"role": "user", "content": "echo one two three"}


@pytest.fixture(scope="module")
def key(simulated: Cluster) -> str:
    return simulated.key("premium")


def post(running: Cluster, path: str, body: Any, key: str | None = None, **more: Any) -> requests.Response:
    headers = {"X-API-Key": key} if key else {}
    return requests.post(f"{running.url}{path}", json=body, headers=headers, timeout=30, **more)


def error(response: requests.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "type", "param"}
    return dict(body["error"])


def test_a_chat_answers_with_its_text(simulated: Cluster, key: str) -> None:
    response = post(simulated, "/v1/free/fast", {"messages": [TURN], "max_tokens": 300}, key)
    assert (response.status_code, response.json()) == (200, {"response": "one two three"})
    assert response.headers["X-Job-Id"].startswith("job_")
    assert re.findall(r"(\w+);dur=", response.headers["Server-Timing"]) == ["queue", "ttft", "total"]


def test_max_tokens_limits_the_answer(simulated: Cluster, key: str) -> None:
    response = post(simulated, "/v1/premium/fast", {"messages": [TURN], "max_tokens": 2}, key)
    assert response.json() == {"response": "one two"}


def test_an_image_is_a_python_bytes_literal(simulated: Cluster, key: str) -> None:
    text = post(simulated, "/v1/premium/pictures", {"prompt": "cat"}, key).json()["response"]
    png = eval(text)  # as the seed's client does it
    assert png == ast.literal_eval(text)
    assert png.startswith(b"\x89PNG\r\n")


def test_openai_chat_whole(simulated: Cluster, key: str) -> None:
    body = post(simulated, "/v1/chat/completions", {"model": "fast", "messages": [TURN]}, key).json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "one two three"}


def test_openai_chat_streamed(simulated: Cluster, key: str) -> None:
    body = {"model": "fast", "messages": [TURN], "stream": True, "stream_options": {"include_usage": True}}
    url, headers = f"{simulated.url}/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    with requests.post(url, json=body, headers=headers, stream=True, timeout=30) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines(decode_unicode=True) if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == "one two three"
    assert chunks[-1]["usage"]["completion_tokens"] == 3


def test_models_tell_their_state(simulated: Cluster) -> None:
    found = {model["id"]: model for model in requests.get(f"{simulated.url}/v1/models", timeout=10).json()["data"]}
    assert found["fast"]["state"] == "ready"
    assert found["idle"]["state"] == "cold"
    assert found["pictures"]["kind"] == "image"
    one = requests.get(f"{simulated.url}/v1/models/fast", timeout=10).json()
    assert one["id"] == "fast"
    assert requests.get(f"{simulated.url}/v1/models/nix", timeout=10).status_code == 404


def test_health(simulated: Cluster) -> None:
    assert requests.get(f"{simulated.url}/health", timeout=10).json() == {"status": "ok"}


CHAT: dict[str, Any] = {"messages": [TURN]}


@pytest.mark.parametrize(
    ("path", "body", "with_key", "status", "code", "param"),
    [
        ("/v1/free/fast", CHAT, None, 401, "invalid_key", None),
        ("/v1/free/fast", CHAT, "sk-crof-wrong", 401, "invalid_key", None),
        ("/v1/premium/fast", CHAT, "free", 403, "tier_required", "tier"),
        ("/v1/free/fas", CHAT, "free", 404, "model_not_found", "model"),
        ("/v1/free/idle", CHAT, "free", 503, "model_unavailable", "model"),
        ("/v1/free/fast", {}, "free", 400, "invalid_request", "messages"),
        ("/v1/free/fast", CHAT | {"max_token": 1}, "free", 400, "invalid_request", "max_token"),
        ("/v1/free/pictures", CHAT, "free", 400, "invalid_request", "messages"),
        ("/v1/chat/completions", CHAT, "free", 400, "invalid_request", "model"),
        ("/v1/chat/completions", CHAT | {"model": "nix"}, "free", 404, "model_not_found", "model"),
        ("/v1/chat/completions", {"model": "fast"}, "free", 400, "invalid_request", "messages"),
        ("/v1/chat/completions", CHAT | {"model": "fast", "n": 9}, "free", 400, "invalid_request", "n"),
        ("/v1/nothing", CHAT, "free", 404, "not_found", None),
    ],
)
def test_errors_have_status_code_and_field(
    simulated: Cluster, path: str, body: Any, with_key: str | None, status: int, code: str, param: str | None
) -> None:
    secret = simulated.key("free") if with_key == "free" else with_key
    response = post(simulated, path, body, secret)
    found = error(response)
    assert (response.status_code, found["code"], found["param"]) == (status, code, param)
    assert found["message"]


def test_an_unknown_model_names_the_nearest(simulated: Cluster, key: str) -> None:
    assert "'fast'" in error(post(simulated, "/v1/free/fsat", CHAT, key))["message"]


def test_a_model_is_found_by_its_long_name(simulated: Cluster, key: str) -> None:
    response = post(simulated, "/v1/free/llama3-8b-Instruct", CHAT, key)
    assert (response.status_code, error(response)["code"]) == (503, "model_unavailable")
    assert "'llama3'" in error(response)["message"]


def test_a_body_that_is_not_json_is_refused(simulated: Cluster, key: str) -> None:
    url, headers = f"{simulated.url}/v1/free/fast", {"X-API-Key": key}
    response = requests.post(url, data="hello", headers=headers, timeout=10)
    assert (response.status_code, error(response)["code"]) == (415, "unsupported_media_type")
    headers["Content-Type"] = "application/json"
    packed = requests.post(url, data="{}", headers=headers | {"Content-Encoding": "gzip"}, timeout=10)
    assert (packed.status_code, "Content-Encoding" in error(packed)["message"]) == (415, True)
    assert "empty" in error(requests.post(url, data=" ", headers=headers, timeout=10))["message"]
    response = requests.post(url, data="{", headers=headers, timeout=10)
    assert (response.status_code, error(response)["code"]) == (400, "invalid_request")


def test_a_body_that_is_too_large_is_refused(simulated: Cluster, key: str) -> None:
    huge = {"messages": [{"role": "user", "content": "x" * 1_100_000}]}
    response = post(simulated, "/v1/free/fast", huge, key)
    assert (response.status_code, error(response)["code"]) == (413, "body_too_large")


def test_so_is_one_that_is_sent_in_parts(simulated: Cluster, key: str) -> None:
    """It does not say how large it is beforehand."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    for last, status in ((b"", 400), (b"x", 413)):
        parts = chain((b"x" * 10_000 for _ in range(100)), [last] if last else [])
        response = requests.post(f"{simulated.url}/v1/free/fast", data=parts, headers=headers, timeout=10)
        assert response.status_code == status


def test_the_engines_refusal_keeps_its_status(simulated: Cluster, key: str) -> None:
    for stream in (True, False):
        body = {"model": "fast", "messages": [{"role": "user", "content": "word " * 4096}], "stream": stream}
        response = post(simulated, "/v1/chat/completions", body, key)
        found = error(response)
        assert (response.status_code, found["code"], found["param"]) == (
            400,
            "context_length_exceeded",
            "messages",
        )


def test_a_wrong_method_is_told(simulated: Cluster) -> None:
    response = requests.get(f"{simulated.url}/v1/free/fast", timeout=10)
    assert (response.status_code, error(response)["code"]) == (405, "method_not_allowed")


def test_a_revoked_key_stops_working(simulated: Cluster) -> None:
    made = simulated.accounts.create_key("soon gone", "free")
    assert post(simulated, "/v1/free/fast", CHAT, made.secret).status_code == 200
    simulated.accounts.revoke_key(made.id)
    wait_for(lambda: post(simulated, "/v1/free/fast", CHAT, made.secret).status_code == 401, 10, "the key to fail")


def test_browsers_may_call_from_anywhere(simulated: Cluster) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    response = requests.options(f"{simulated.url}/v1/free/fast", headers=headers, timeout=10)
    assert response.ok
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-API-Key" in response.headers["Access-Control-Allow-Headers"]
    headers["Access-Control-Request-Headers"] = "authorization,x-stainless-os"
    response = requests.options(f"{simulated.url}/v1/chat/completions", headers=headers, timeout=10)
    assert response.headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
    for sent in ({}, {"Origin": "https://elsewhere.example"}):
        for path in ("/openapi.json", "/v1/models", "/nothing"):
            response = requests.get(f"{simulated.url}{path}", headers=sent, timeout=10)
            assert response.headers["Vary"] == "Origin", path


SLOW = {"model": "slow", "messages": [{"role": "user", "content": "x"}], "max_tokens": 400}


@contextmanager
def busy(running: Cluster, key: str) -> Iterator[None]:
    """Both slots of the slow model are taken, and free again at the end."""
    client = running.valkey.client
    running.wait_until_left("slow")
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(post(running, "/v1/chat/completions", SLOW | {"stream": True}, key, stream=True))
        yield
    wait_for(lambda: client.hlen("lease:slow") == 0, 10, "all leases to be given back")


def waiting(running: Cluster) -> int:
    """How many jobs wait for the slow model."""
    return int(requests.get(f"{running.url}/v1/models/slow", timeout=10).json()["waiting"])


def test_a_full_queue_sheds(simulated: Cluster, key: str) -> None:
    """Two run, three wait, the sixth is refused; dropping the others empties the queue again."""
    with ThreadPoolExecutor() as pool, busy(simulated, key):
        body = SLOW | {"max_tokens": 1}
        answers = [pool.submit(post, simulated, "/v1/chat/completions", body, key) for _ in range(3)]
        wait_for(lambda: waiting(simulated) == 3, 10, "three jobs to wait")
        response = post(simulated, "/v1/chat/completions", body, key)
        assert (response.status_code, error(response)["code"]) == (429, "queue_full")
    assert [answer.result(30).status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize("path", ["/v1/free/slow", "/v1/chat/completions"])
def test_who_leaves_the_line_makes_room(simulated: Cluster, key: str, path: str) -> None:
    """A client that waits for its whole answer is sent nothing: its leaving is noticed all the same."""
    chat: dict[str, Any] = {"messages": SLOW["messages"]}
    body = chat if "free" in path else SLOW
    with busy(simulated, key):
        clients = [send(simulated, path, body, key) for _ in range(3)]
        wait_for(lambda: waiting(simulated) == 3, 10, "three jobs to wait")
        for client in clients:
            client.close()
        wait_for(lambda: waiting(simulated) == 0, 10, "their places to be free")


@pytest.mark.parametrize("more", [b"", b"GET / HTTP/1.1\r\n"])
def test_leaving_stops_an_answer_nobody_has_seen_of(simulated: Cluster, key: str, more: bytes) -> None:
    """Also that of a client which has sent more meanwhile: behind it, its leaving is not seen at once."""
    valkey = simulated.valkey.client
    simulated.wait_until_left("slow")
    client = send(simulated, "/v1/free/slow", {"messages": SLOW["messages"]}, key)
    wait_for(lambda: valkey.hlen("lease:slow") == 1, 10, "the job to run")
    client.sendall(more)
    client.close()
    wait_for(lambda: valkey.hlen("lease:slow") == 0, 10, "the job to be cancelled")


def send(running: Cluster, path: str, body: Any, key: str) -> socket.socket:
    """A request whose answer is not waited for."""
    client = dial(running)
    client.sendall(request(path=path, body=json.dumps(body).encode(), X_API_Key=key))
    return client


def test_pages_are_served(simulated: Cluster) -> None:
    page = requests.get(f"{simulated.url}/", timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "buymeacoffee.com/crofai" in page.text
    for name in ("style.css", "docs.js", "lib/dom.js"):
        assert requests.get(f"{simulated.url}/web/{name}", timeout=10).ok
    assert requests.get(f"{simulated.url}/web/%2e%2e/app.py", timeout=10).status_code == 404
