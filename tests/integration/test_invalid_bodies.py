"""Bodies that no address takes, thousands of them: each is told what is wrong with it, and nobody else notices."""

import http.client
import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from gateway.bodies.shapes import EMPTY
from tests.chats import CHAT, TURN
from tests.cluster import Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model
from tests.endpoints import ENDPOINTS, Endpoint, deep
from tests.invalid import SEED, Invalid, invalid, schema_patterns
from tests.streams import streams
from tests.wire import answer, dial, request

pytestmark = pytest.mark.integration

AT_ONCE = 3
MB = 2**20
SAID = " ".join(f"word{number}" for number in range(200))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    able = simulated_model() | {"engine": "vllm", "max_tokens": CHAT.max_tokens, "engine_args": CHAT.engine_args}
    models = {"m": able, "pictures": simulated_model("image"), "slow": simulated_model(tokens_per_second=20)}
    with cluster(tmp_path_factory.mktemp("invalid"), models) as running:
        running.start_gateway()
        for name in models:
            running.start_worker(name)
        yield running


@pytest.fixture(scope="module")
def key(running: Cluster) -> str:
    return running.key()


@pytest.fixture
def gateway(running: Cluster) -> Iterator[Process]:
    """Its log has nothing to tell afterwards, and it answers."""
    gateway = running.processes[0]
    with gateway.undisturbed():
        yield gateway
        response = ask(running, running.key())
        assert (response.status_code, response.json()["choices"][0]["message"]["content"]) == (200, "still here")


def ask(running: Cluster, key: str, **fields: Any) -> requests.Response:
    body = {"model": "m", "messages": [TURN | {"content": "echo still here"}]} | fields
    return requests.post(f"{running.url}/v1/chat/completions", json=body, headers={"X-API-Key": key}, timeout=30)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_what_is_spoilt_was_valid_before(endpoint: Endpoint) -> None:
    for body in endpoint.taken:
        endpoint.body_of(endpoint.model, body)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_field_is_made_wrong(endpoint: Endpoint) -> None:
    wrong = {re.sub(r"\[\d+\]", "[]", each.param or "") for each in invalid(endpoint)}
    assert schema_patterns(endpoint.shape.model_json_schema()).keys() <= wrong


def test_thousands_of_invalid_bodies_are_refused_by_name_and_hurt_nobody(
    running: Cluster, gateway: Process, key: str
) -> None:
    every = [each for endpoint in ENDPOINTS for each in invalid(endpoint)]
    with streams(running, "slow", f"echo {SAID}", 1) as (beside,):
        wait_for(lambda: beside.texts, 10, "the stream beside to begin")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lots = [pool.submit(mistakes, running, key, every[start::AT_ONCE]) for start in range(AT_ONCE)]
            found = [mistake for lot in lots for mistake in lot.result()]
    assert not found, f"{len(found)} of {len(every)}, by seed {SEED}:\n" + "\n".join(found[:20])
    print(f"{len(every)} invalid bodies: {dict(Counter(each.path for each in every))}")
    assert len(every) >= 1000
    assert (beside.text, beside.done) == (SAID, True)


def mistakes(running: Cluster, key: str, some: Iterable[Invalid]) -> list[str]:
    """What is not as it should be in the answers to these, sent one after the other over one connection."""
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
    found = []
    for each in some:
        connection.request("POST", each.path, each.body, each.headers | {"X-API-Key": key})
        response = connection.getresponse()
        if mistake := _mistake(each, response.status, response.read()):
            found.append(f"{each.path}: {each.what}: {each.body[-200:]!r}: {mistake}")
    connection.close()
    return found


def _mistake(sent: Invalid, status: int, body: bytes) -> str:
    told = json.loads(body)
    error = told["error"]
    anthropics = sent.path == "/v1/messages"
    shape = {"type", "message"} if anthropics else {"code", "message", "type", "param"}
    right = (
        status == sent.status
        and error.keys() == shape
        and told.keys() == ({"type", "error", "request_id"} if anthropics else {"error"})
        and (sent.param is None or error["message"].startswith(f"{sent.param or EMPTY}: "))
        and (anthropics or error["param"] == sent.param)
    )
    return "" if right else f"{status} {error}, should be {sent.status} {sent.param!r}"


def test_what_is_odd_and_no_mistake_is_answered(running: Cluster, gateway: Process, key: str) -> None:
    valid = json.dumps({"model": "m", "messages": [TURN | {"content": "echo \x00\x7f\u2028 😀"}]}).encode()
    lists = "[" * 900 + "]" * 900
    for more in (
        '"temperature":-0.0',
        '"n":8,"n":1',
        '"user":"\\ud83d\\ude00"',
        '"chat_template_kwargs":{"a":' + lists + "}",
        '"tool_choice":"none","tools":[{"type":"function","function":{"name":"a","parameters":'
        + json.dumps(deep(99))
        + "}}]",
    ):
        body = valid[:-1] + f",{more}}}".encode()
        headers = {"X-API-Key": key, "Content-Type": "application/json; charset=utf-8"}
        response = requests.post(f"{running.url}/v1/chat/completions", body, headers=headers, timeout=30)
        assert response.status_code == 200, (more[:80], response.text)
        assert response.json()["choices"][0]["message"]["content"] == "\x00\x7f\u2028 😀"


def test_ten_thousand_messages_are_told_to_be_too_many(running: Cluster, gateway: Process, key: str) -> None:
    """The simulated engine only counts the words of the last."""
    response = ask(running, key, messages=[*[TURN] * 10_000, TURN | {"content": "word " * 5_000}])
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert response.json()["error"]["param"] == "messages"


@pytest.mark.parametrize("encoding", ["Content-Length", "Transfer-Encoding"])
def test_a_body_of_20_mb_is_refused_and_not_kept(
    running: Cluster, gateway: Process, key: str, encoding: str
) -> None:
    """Who sends on all the same can read the answer, and then the connection ends."""
    before, part = gateway.rss(), b"x" * MB
    length = str(20 * MB) if encoding == "Content-Length" else ""
    in_chunks = "" if length else "chunked"
    with dial(running) as raw:
        raw.sendall(
            request(path="/v1/chat/completions", X_API_Key=key, Content_Length=length, Transfer_Encoding=in_chunks)
        )
        sender = threading.Thread(target=send, args=(raw, part, bool(in_chunks)), daemon=True)
        sender.start()
        got = answer(raw)
        sender.join(20)
    assert (got.status, got.error["code"], got.closed) == (413, "body_too_large", True)
    assert gateway.rss() - before < 20 * MB


def send(raw: Any, part: bytes, in_chunks: bool) -> None:
    """20 of these, as far as they are taken."""
    framed = b"%x\r\n%b\r\n" % (len(part), part) if in_chunks else part
    for _ in range(20):
        try:
            raw.sendall(framed)
        except OSError:
            return
