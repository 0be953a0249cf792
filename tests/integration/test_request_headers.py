"""Headers of any request: X-Request-Id and X-Request-Timeout."""

from typing import Any

import openai
import pytest
import requests

from tests.cluster import Cluster, wait_for
from tests.wire import answer, dial, request

pytestmark = pytest.mark.integration

CHAT: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "echo one"}]}


@pytest.fixture(scope="module")
def key(simulated: Cluster) -> str:
    return simulated.key("free")


def post(running: Cluster, key: str, body: dict[str, Any], **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"X-API-Key": key}
    return requests.post(f"{running.url}/v1/chat/completions", json=body, headers=named, timeout=30)


@pytest.mark.parametrize("stream", [True, False])
def test_the_clients_own_id_comes_back(simulated: Cluster, key: str, stream: bool) -> None:
    response = post(simulated, key, CHAT | {"stream": stream}, X_Request_Id="trace:1/a.b_c-d")
    assert response.headers["X-Request-Id"] == "trace:1/a.b_c-d"


@pytest.mark.parametrize("wish", ["", "a b", "x" * 129, "ümlaut", "a\tb", "${jndi}"])
def test_what_would_not_be_safe_in_a_log_is_replaced(simulated: Cluster, key: str, wish: str) -> None:
    response = post(simulated, key, CHAT, X_Request_Id=wish.encode())  # type: ignore[arg-type]
    assert response.headers["X-Request-Id"].startswith("req_")


def test_each_request_of_a_connection_has_its_own(simulated: Cluster) -> None:
    with dial(simulated) as raw:
        ids = []
        for headers in ({}, {"X_Request_Id": "mine"}, {}):
            raw.sendall(request("GET", "/health", **headers))
            ids.append(answer(raw).headers["X-Request-Id"])
    assert ids[1] == "mine"
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01", 400),
        (request("GET", "/nothing"), 404),
        (request("GET", "/v1/chat/completions"), 405),
        (request("GET", "/health", X="y" * 40_000), 431),
        (request("GET", "/socket.io/?EIO=4&transport=polling"), 200),
        (request("OPTIONS", "/v1/chat/completions", Origin="https://a.example"), 200),
    ],
)
def test_every_answer_has_one(simulated: Cluster, sent: bytes, status: int) -> None:
    with dial(simulated) as raw:
        raw.sendall(sent)
        got = answer(raw)
    (request_id,) = got.headers.get_all("X-Request-Id", [])
    assert (got.status, request_id[:4]) == (status, "req_")


def test_pages_of_other_origins_may_read_it(simulated: Cluster) -> None:
    response = requests.get(f"{simulated.url}/health", headers={"Origin": "https://a.example"}, timeout=10)
    assert "X-Request-Id" in response.headers["Access-Control-Expose-Headers"].split(", ")


def test_openais_client_tells_it_and_the_log_has_it(simulated: Cluster, key: str) -> None:
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key=key, max_retries=0) as client:
        done = client.chat.completions.create(**CHAT)
        assert done._request_id and done._request_id.startswith("req_")
        with pytest.raises(openai.NotFoundError) as error:
            client.models.retrieve("nix")
        assert (error.value.request_id or "").startswith("req_")
    (gateway,) = [process for process in simulated.processes if process.name == "gateway"]
    line = f"admitted, tier free, request {done._request_id}"
    wait_for(lambda: line in gateway.log.read_text(), 5, "the log's line")


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_has_the_time_it_asks_for(simulated: Cluster, key: str, stream: bool) -> None:
    body = CHAT | {"model": "slow", "messages": [{"role": "user", "content": "go"}], "stream": stream}
    response = post(simulated, key, body | {"max_tokens": 3000}, X_Request_Timeout="1.5")
    assert response.status_code == (200 if stream else 504)
    assert '"code":"timeout"' in response.text.replace(" ", "")


def test_a_request_that_ends_in_its_time_is_answered(simulated: Cluster, key: str) -> None:
    assert post(simulated, key, CHAT, X_Request_Timeout="30").status_code == 200


def test_who_comes_back_has_no_say_in_the_jobs_time(simulated: Cluster, key: str) -> None:
    job = post(simulated, key, CHAT | {"stream": True}, X_Resume_Within="30").headers["X-Job-Id"]
    headers = {"X-API-Key": key, "X-Request-Timeout": "soon"}
    assert requests.get(f"{simulated.url}/v1/jobs/{job}/events", headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize("seconds", ["0", "0.5", "601", "-1", "nan", "1e2", "soon", "", "1_0"])
def test_a_time_that_cannot_be_is_refused(simulated: Cluster, key: str, seconds: str) -> None:
    response = post(simulated, key, CHAT, X_Request_Timeout=seconds)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("X-Request-Timeout: should be seconds from 1 to 600")
