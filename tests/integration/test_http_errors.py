"""Errors that only a real HTTP connection can provoke."""

import pytest
import requests

from tests.cluster import Cluster
from tests.wire import answer, dial, request

pytestmark = pytest.mark.integration


def test_a_wrong_method_is_told_the_right_ones(simulated: Cluster) -> None:
    response = requests.get(f"{simulated.url}/v1/chat/completions", timeout=10)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_a_model_without_workers_is_worth_another_try(simulated: Cluster) -> None:
    headers = {"X-API-Key": simulated.key()}
    body = {"messages": [{"role": "user", "content": "hi"}]}
    response = requests.post(f"{simulated.url}/v1/free/idle", json=body, headers=headers, timeout=10)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/images/generation", "/v1/images/generations"),
        ("/v1/" + "a" * 9000, None),
        ("/no/such/page", None),
    ],
)
def test_an_address_that_is_almost_right_is_told_the_right_one(
    simulated: Cluster, path: str, near: str | None
) -> None:
    response = requests.post(simulated.url + path, json={}, timeout=10, allow_redirects=False)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    message = response.json()["error"]["message"]
    assert (f"did you mean {near}?" in message) if near else ("did you mean" not in message)
    assert len(message) < 250


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/v1/messages/"])
def test_anthropics_clients_are_told_in_their_own_shape(simulated: Cluster, path: str) -> None:
    response = requests.post(simulated.url + path, json={}, timeout=10)
    assert (response.status_code, response.json()["type"]) == (404, "error")
    assert "did you mean /v1/messages?" in response.json()["error"]["message"]


@pytest.mark.parametrize("target", ["http://elsewhere/health", "HTTPS://x:1/health?a=/b", "http://x?a", "/health"])
@pytest.mark.parametrize("first", [b"", b"\r\n"])
def test_a_request_as_proxies_get_it_is_taken(simulated: Cluster, target: str, first: bytes) -> None:
    with dial(simulated) as raw:
        raw.sendall(first + request("GET", target, Content_Type=""))
        assert answer(raw).status == 200
