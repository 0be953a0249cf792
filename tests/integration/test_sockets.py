"""The seed's Socket.IO dialect over a whole simulated cluster, with the real Python client."""

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import socketio

from gateway.auth import FRESH
from gateway.sockets import KEY_WAIT
from tests.cluster import Cluster, wait_for

pytestmark = pytest.mark.integration

CLOSING = ("ENDOFMESSAGE", "||AI ERROR||")


class Client:
    """A Socket.IO client that keeps every event."""

    def __init__(self, url: str, namespace: str, **options: Any) -> None:
        self.events: list[tuple[str, Any]] = []
        self.namespace = namespace
        self._closed = threading.Semaphore(0)
        self._socket = socketio.Client(reconnection=False)
        self._socket.on("*", self._take, namespace=namespace)
        self._socket.connect(url, namespaces=[namespace], wait_timeout=10, **options)

    def _take(self, event: str, data: Any) -> None:
        self.events.append((event, data))
        if event == "chunk" and data in CLOSING:
            self._closed.release()

    def emit(self, event: str, data: Any) -> None:
        self._socket.emit(event, data, namespace=self.namespace)

    def wait(self, answers: int = 1) -> list[tuple[str, Any]]:
        """Wait for the closing chunks of so many answers; all events so far."""
        for _ in range(answers):
            assert self._closed.acquire(timeout=20), f"no closing chunk in {self.events}"
        return self.events

    def chunks(self) -> list[str]:
        return [data for event, data in self.events if event == "chunk"]

    def of(self, event: str) -> list[Any]:
        return [data for name, data in self.events if name == event]

    def close(self) -> None:
        self._socket.disconnect()


@pytest.fixture(scope="module")
def key(simulated: Cluster) -> str:
    return simulated.key()


@pytest.fixture(params=["/", "/stream"])
def client(request: pytest.FixtureRequest, simulated: Cluster) -> Iterator[Client]:
    client = Client(simulated.url, request.param)
    yield client
    client.close()


def prompt(text: str, model: str = "fast", **more: Any) -> dict[str, Any]:
    return {"model": model, "context": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("what", [5, b"\x00\x01", ["x"], None])
def test_a_prompt_of_the_wrong_kind_is_answered(client: Client, what: Any) -> None:
    client.emit("prompt", what)
    client.wait()
    [error] = client.of("error")
    assert (error["code"], client.chunks()) == ("invalid_request", ["||AI ERROR||"])
    assert error["message"].startswith("prompt: should be a JSON text or an object")


def test_a_prompt_as_json_text(client: Client, key: str) -> None:
    client.emit("start_stream", key)
    client.emit("prompt", json.dumps(prompt("echo a b", token=key)))
    client.wait()
    assert "".join(client.chunks()) == "a bENDOFMESSAGE"


def test_a_prompt_as_an_object_with_the_key_from_start_stream(client: Client, key: str) -> None:
    client.emit("start_stream", key)
    client.emit("prompt", prompt("echo a b"))
    client.wait()
    assert "".join(client.chunks()) == "a bENDOFMESSAGE"


def test_the_prompt_may_come_before_the_key(client: Client, key: str) -> None:
    client.emit("prompt", prompt("echo a b"))
    client.emit("start_stream", key)
    client.wait()
    assert "".join(client.chunks()) == "a bENDOFMESSAGE"


def test_usage_comes_before_the_end(client: Client, key: str) -> None:
    client.emit("prompt", prompt("echo a b", token=key))
    events = client.wait()
    (usage,) = client.of("usage")
    assert (usage["completion_tokens"], usage["finish_reason"], usage["model"]) == (2, "stop", "fast")
    assert [event for event, _ in events[-2:]] == ["usage", "chunk"]


def test_each_prompt_has_an_id_in_the_log(client: Client, key: str, simulated: Cluster) -> None:
    for _ in range(2):
        client.emit("prompt", prompt("echo one", token=key))
    client.wait(2)
    (gateway,) = [process for process in simulated.processes if process.name == "gateway"]
    lines = [rf"job {usage['id']} .*, request (req_\w+)" for usage in client.of("usage")]
    wait_for(lambda: all(re.search(line, gateway.log.read_text()) for line in lines), 5, "the log's lines")
    log = gateway.log.read_text()
    assert len({match[1] for line in lines if (match := re.search(line, log))}) == 2


def test_several_prompts_are_answered_one_after_the_other(client: Client, key: str) -> None:
    for text in ("a a a", "b b b", "c c c"):
        client.emit("prompt", prompt(f"echo {text}", token=key))
    client.wait(3)
    assert "".join(client.chunks()) == "a a aENDOFMESSAGEb b bENDOFMESSAGEc c cENDOFMESSAGE"


@pytest.mark.parametrize("sentinel", CLOSING)
def test_the_models_text_never_closes_the_answer(client: Client, key: str, sentinel: str) -> None:
    """ENDOFMESSAGE is one word of the engine's; ||AI ERROR|| is two, which may arrive together."""
    for _ in range(5):
        client.emit("prompt", prompt(f"echo {sentinel}", token=key))
    client.wait(5)
    assert "".join(client.chunks()) == f"{sentinel}ENDOFMESSAGE" * 5
    assert [chunk for chunk in client.chunks() if chunk in CLOSING] == ["ENDOFMESSAGE"] * 5


def test_prompts_beyond_the_bound_are_refused_in_their_turn(client: Client, key: str) -> None:
    for number in range(40):
        # Of a model that answers more slowly than the slowest machine asks.
        client.emit("prompt", prompt(f"echo {number}", model="slow", token=key))
    client.wait(40)
    answers = "".join(client.chunks()).replace("||AI ERROR||", "ENDOFMESSAGE").split("ENDOFMESSAGE")
    answered = [int(answer) for answer in answers if answer]
    assert answered == list(range(len(answered)))
    assert 16 <= len(answered) < 40
    assert client.of("error") == [client.of("error")[0]] * (40 - len(answered))
    assert client.of("error")[0]["code"] == "queue_full"
    client.emit("prompt", prompt("echo again", token=key))
    client.wait()
    assert client.chunks()[-2:] == ["again", "ENDOFMESSAGE"]


def test_an_image_comes_with_its_progress(client: Client, key: str) -> None:
    client.emit("prompt", {"model": "pictures", "prompt": "cat", "token": key})
    client.wait()
    assert [step["step"] for step in client.of("progress")] == list(range(1, 9))
    assert client.of("image")[0]["b64_json"]


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        ("{", "invalid_request", None),
        (3, "invalid_request", None),
        ({"model": b"binary"}, "invalid_request", "model"),
        ({"context": []}, "invalid_request", "model"),
        (
            {"model": "fast", "context": [{"role": "user", "content": "\ud800"}]},
            "invalid_request",
            "context[0].content",
        ),
        ({"model": "fast", "context": [{"role": "user", "content": "x"}], "token": "é"}, "invalid_key", None),
        ({"model": "fast"}, "invalid_request", "context"),
        ({"model": "fsat", "context": [{"role": "user", "content": "x"}]}, "model_not_found", "model"),
        ({"model": "idle", "context": [{"role": "user", "content": "x"}]}, "model_unavailable", "model"),
        ({"model": "fast", "context": [{"role": "user", "content": "x"}], "token": "no"}, "invalid_key", None),
        ({"model": "fast", "context": [{"role": "user", "content": "x"}], "temp": 1}, "invalid_request", "temp"),
    ],
)
def test_failures_are_told_twice(client: Client, key: str, data: Any, code: str, param: str | None) -> None:
    """In words for newer clients, then as the seed's closing chunk."""
    client.emit("start_stream", key)
    client.emit("prompt", data)
    client.wait()
    (found,) = client.of("error")
    assert (found["code"], found["param"]) == (code, param)
    assert client.chunks() == ["||AI ERROR||"]


def test_a_failure_does_not_end_the_connection(client: Client, key: str) -> None:
    client.emit("prompt", prompt("x", model="nix", token=key))
    client.emit("prompt", prompt("echo a", token=key))
    client.wait(2)
    assert client.chunks() == ["||AI ERROR||", "a", "ENDOFMESSAGE"]


@pytest.mark.parametrize("wrong", ["sk-crof-wrong", "", None, 3, "é", {"token": "x"}])
def test_a_wrong_key_at_start_is_an_error_alone(client: Client, wrong: Any) -> None:
    """There is no answer to close yet; a prompt that relies on the key has one, and does not wait for another."""
    client.emit("start_stream", wrong)
    wait_for(lambda: client.of("error"), 5, "an error")
    assert client.chunks() == []
    start = time.monotonic()
    client.emit("prompt", prompt("echo a"))
    client.wait()
    assert time.monotonic() - start < KEY_WAIT
    assert client.chunks() == ["||AI ERROR||"]
    assert [error["code"] for error in client.of("error")] == ["invalid_key"] * 2
    assert "start_stream" in client.of("error")[1]["message"]
    assert not any("header" in error["message"] for error in client.of("error"))


def test_the_right_key_mends_a_wrong_one(client: Client, key: str) -> None:
    for secret in ("sk-crof-wrong", key, "sk-crof-wrong"):
        client.emit("start_stream", secret)
    client.emit("prompt", prompt("echo a"))
    client.wait()
    assert client.chunks() == ["a", "ENDOFMESSAGE"]


def test_a_key_revoked_is_refused_on_connections_that_had_it(client: Client, simulated: Cluster) -> None:
    made = simulated.accounts.create_key("gone", "free")
    client.emit("start_stream", made.secret)
    client.emit("prompt", prompt("echo a"))
    client.wait()
    simulated.accounts.revoke_key(made.id)
    time.sleep(FRESH + 0.5)
    client.emit("prompt", prompt("echo b"))
    client.wait()
    assert client.chunks() == ["a", "ENDOFMESSAGE", "||AI ERROR||"]
    assert client.of("error")[0]["code"] == "invalid_key"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_either_transport(simulated: Cluster, key: str, transport: str) -> None:
    client = Client(simulated.url, "/", transports=[transport])
    words = " ".join(f"w{n}" for n in range(300))
    client.emit("prompt", prompt(f"echo {words}", token=key))
    client.wait()
    assert "".join(client.chunks()) == words + "ENDOFMESSAGE"
    client.close()


def test_leaving_frees_the_engine(simulated: Cluster, key: str) -> None:
    client = Client(simulated.url, "/")
    client.emit("prompt", prompt("x " * 10, model="slow", token=key))
    wait_for(lambda: client.chunks(), 10, "the first chunk")
    client.close()
    lease = simulated.valkey.client
    wait_for(lambda: lease.hlen("lease:slow") == 0, 10, "the lease to be given back")
