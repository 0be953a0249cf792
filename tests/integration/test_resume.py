"""Coming back to a job: through another gateway, after its end, and before its client's grace is over."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio

from gateway.idempotency import ADMITTED
from shared import redis_keys as keys
from shared.joblog import JobLog
from shared.lines import Lines
from tests.cluster import Cluster, Process, cluster, connects, wait_for
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration

WORDS = " ".join(f"w{number}" for number in range(150))
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"echo {WORDS}"}]}
ENDLESS = BODY | {"messages": [{"role": "user", "content": "echo " + "a " * 2000}]}
"""Said for longer than any test lasts."""

FOLLOWING = "/v1/jobs/{job_id}/events"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    models = {
        "m": simulated_model(tokens_per_second=50),
        "pictures": simulated_model("image", tokens_per_second=20),
        "nobody": simulated_model(),
    }
    with cluster(tmp_path_factory.mktemp("resume"), models) as running:
        running.start_gateway()
        for model in ("m", "pictures"):
            running.start_worker(model)
        yield running


@pytest.fixture(scope="module")
def key(running: Cluster) -> str:
    return running.key()


def headers(key: str, **more: str) -> dict[str, str]:
    return {"X-API-Key": key} | {name.replace("_", "-"): value for name, value in more.items()}


def events(response: requests.Response, most: int = 10**9) -> Iterator[tuple[int, str]]:
    """Numbers and texts of a stream's events, until its end."""
    number = 0
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("id: "):
            number = int(line[4:])
        elif line == "data: [DONE]":
            return
        elif line.startswith("data: "):
            chunk = json.loads(line[6:])
            yield number, "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
            most -= 1
            if not most:
                return


def job(running: Cluster, job_id: str, key: str) -> dict[str, Any]:
    return dict(requests.get(f"{running.url}/v1/jobs/{job_id}", headers=headers(key), timeout=10).json())


def start(running: Cluster, key: str, most: int, body: dict[str, Any] = BODY, **more: str) -> tuple[str, int, str]:
    """Begin a stream, read some of it, and leave: the job's id, the last number, and the text."""
    url = f"{running.url}/v1/chat/completions"
    with requests.post(url, json=body, headers=headers(key, **more), stream=True, timeout=20) as response:
        seen = list(events(response, most))
        return response.headers["X-Job-Id"], seen[-1][0], "".join(text for _, text in seen)


def rest(running: Cluster, job_id: str, number: int, key: str) -> str:
    url = f"{running.url}/v1/jobs/{job_id}/events"
    with requests.get(url, headers=headers(key, Last_Event_ID=str(number)), stream=True, timeout=20) as response:
        assert response.status_code == 200, response.text
        return "".join(text for _, text in events(response))


def test_a_stream_goes_on_where_it_was_left(running: Cluster, key: str) -> None:
    job_id, number, text = start(running, key, 20, X_Resume_Within="10")
    assert number == 20
    assert text + rest(running, job_id, number, key) == WORDS
    assert rest(running, job_id, 0, key) == WORDS, "it is kept for a while after its end"
    found = job(running, job_id, key)
    assert (found["state"], found["text"], found["finish_reason"]) == ("succeeded", WORDS, "stop")
    assert found["usage"]["completion_tokens"] == 150


def test_any_gateway_has_the_rest(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=50)}) as running:
        first = running.start_gateway()
        running.start_worker("m")
        key = running.key()
        url = f"{running.url}/v1/chat/completions"
        asked = headers(key, X_Resume_Within="30")
        with requests.post(url, json=BODY, headers=asked, stream=True, timeout=20) as response:
            reading = events(response)
            seen = [next(reading) for _ in range(20)]
            first.signal(signal.SIGKILL)
            with pytest.raises(requests.RequestException):
                seen += reading  # what is on its way still comes
        running.start_gateway()
        text = "".join(text for _, text in seen)
        assert text + rest(running, response.headers["X-Job-Id"], seen[-1][0], key) == WORDS


def test_socket_io_goes_on_through_any_gateway(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=50)}) as running:
        first = running.start_gateway()
        running.start_worker("m")
        key = running.key()
        client = _Resumer(running.url)
        prompt = {"model": "m", "context": BODY["messages"], "token": key, "resume_within": 10}
        client.emit("prompt", prompt)
        wait_for(lambda: len(client.pieces) > 10, 10, "some pieces")
        first.signal(signal.SIGKILL)
        wait_for(lambda: not client.connected, 10, "the connection to be lost")
        running.start_gateway()
        again = _Resumer(running.url)
        again.emit("resume", {"job": client.job, "number": client.pieces[-1]["number"], "token": key})
        wait_for(lambda: again.chunks, 20, "the end")
        assert again.chunks == ["ENDOFMESSAGE"]
        assert "".join(piece["text"] for piece in client.pieces + again.pieces) == WORDS
        again.close()


def test_who_has_all_but_the_end_gets_it(running: Cluster, key: str) -> None:
    """The number of the last piece counts the end of the answer; the connection may be lost between the two."""
    first = _Resumer(running.url)
    prompt = {"model": "m", "context": [{"role": "user", "content": "echo a b c"}], "token": key}
    first.emit("prompt", prompt | {"resume_within": 10})
    wait_for(lambda: first.chunks, 10, "the end")
    first.close()
    again = _Resumer(running.url)
    again.emit("resume", {"job": first.job, "number": first.pieces[-1]["number"], "token": key})
    wait_for(lambda: again.chunks, 10, "the end")
    assert (again.chunks, again.pieces) == (["ENDOFMESSAGE"], [])
    assert rest(running, first.job, first.pieces[-1]["number"], key) == ""
    again.close()


class _Resumer:
    """A Socket.IO client that knows of pieces."""

    def __init__(self, url: str) -> None:
        self.job = ""
        self.pieces: list[dict[str, Any]] = []
        self.chunks: list[str] = []
        self._socket = socketio.Client(reconnection=False)
        self._socket.on("job", lambda data: setattr(self, "job", data["job"]))
        self._socket.on("piece", self.pieces.append)
        self._socket.on("chunk", self.chunks.append)
        self._socket.connect(url, transports=["websocket"])
        self.emit = self._socket.emit

    def close(self) -> None:
        self._socket.disconnect()
        self._socket.eio.ws.shutdown()  # which the library does not do if the server closes first

    @property
    def connected(self) -> bool:
        return bool(self._socket.connected)


def test_who_stays_away_too_long_has_left(running: Cluster, key: str) -> None:
    begun = time.monotonic()
    job_id, *_ = start(running, key, 5, ENDLESS, X_Resume_Within="1")
    wait_for(lambda: job(running, job_id, key)["state"] == "cancelled", 15, "the job to be cancelled")
    assert time.monotonic() - begun > 1, "it may stay away for so long"


def test_who_comes_back_has_not(running: Cluster, key: str) -> None:
    words = " ".join(f"w{number}" for number in range(400))  # for longer than it may stay away
    body = BODY | {"messages": [{"role": "user", "content": f"echo {words}"}]}
    job_id, number, text = start(running, key, 5, body, X_Resume_Within="4")
    assert text + rest(running, job_id, number, key) == words
    assert job(running, job_id, key)["state"] == "succeeded"


def test_without_a_grace_leaving_is_the_end(running: Cluster, key: str) -> None:
    job_id, *_ = start(running, key, 5, ENDLESS)
    wait_for(lambda: job(running, job_id, key)["state"] == "cancelled", 10, "the job to be cancelled")


def test_a_job_can_be_cancelled_by_its_id(running: Cluster, key: str) -> None:
    url = f"{running.url}/v1/chat/completions"
    with requests.post(url, json=BODY, headers=headers(key), stream=True, timeout=20) as response:
        job_id = response.headers["X-Job-Id"]
        answer = requests.delete(f"{running.url}/v1/jobs/{job_id}", headers=headers(key), timeout=10)
        assert answer.status_code == 200
        assert '"code":"cancelled"' in response.text.replace(" ", "")
    assert job(running, job_id, key)["state"] == "cancelled"


def test_an_images_job_tells_its_steps(running: Cluster, key: str) -> None:
    client = socketio.Client(reconnection=False)
    steps: list[Any] = []
    found: list[Any] = []
    client.on("progress", steps.append)
    client.on("job", found.append)
    client.connect(running.url, transports=["websocket"])
    client.emit("prompt", {"model": "pictures", "prompt": "cat", "token": key, "resume_within": 10})
    wait_for(lambda: len(steps) > 2, 10, "some steps")
    client.disconnect()
    job_id = found[0]["job"]
    wait_for(lambda: job(running, job_id, key)["state"] == "succeeded", 10, "the image")
    assert job(running, job_id, key)["data"][0]["b64_json"]


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/chat/completions", "chat.completion", {"messages": BODY["messages"]}),
        ("/v1/completions", "text_completion", {"prompt": f"echo {WORDS}"}),
        ("/v1/messages", "chat.completion", {"messages": BODY["messages"]}),
    ],
)
def test_the_answer_of_who_wants_no_stream_is_one_event(
    running: Cluster, key: str, path: str, kind: str, body: dict[str, Any]
) -> None:
    whole = ask(running, key, {"model": "m", "max_tokens": 5} | body, path, path)
    url = f"{running.url}/v1/jobs/{whole.headers['X-Job-Id']}/events"
    told = requests.get(url, headers=headers(key), timeout=20).text
    event, end, nothing = told.split("\n\n")
    number, answer = event.split("\n")
    assert (number, json.loads(answer.removeprefix("data: "))["object"]) == ("id: 1", kind)
    assert (end, nothing) == ("data: [DONE]", "")
    follow_job = requests.get(f"{running.url}/openapi.json", timeout=20).json()["paths"][FOLLOWING]["get"]
    described = follow_job["responses"]["200"]["content"]["text/event-stream"]["schema"]["description"]
    assert f"`{kind}`" in described


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_job_is_its_accounts_alone(running: Cluster, key: str, method: str) -> None:
    job_id, *_ = start(running, key, 5)
    stranger = running.accounts.create_key("somebody else", "premium").secret
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/events", "/v1/jobs/job_nix"):
        if method == "DELETE" and path.endswith("events"):
            continue
        answer = requests.request(method, running.url + path, headers=headers(stranger), timeout=10)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Resume-Within", "soon"),
        ("X-Resume-Within", "99999"),
        ("X-Resume-Within", "9" * 5000),
        ("Last-Event-ID", "-1"),
    ],
)
def test_headers_that_make_no_sense_are_named(running: Cluster, key: str, name: str, value: str) -> None:
    job_id, *_ = start(running, key, 5)
    if name == "Last-Event-ID":
        url = f"{running.url}/v1/jobs/{job_id}/events"
        answer = requests.get(url, headers=headers(key) | {name: value}, timeout=10)
    else:
        url = f"{running.url}/v1/chat/completions"
        body = BODY | {"stream": False}
        answer = requests.post(url, json=body, headers=headers(key) | {name: value}, timeout=10)
    assert answer.status_code == 400
    assert name in answer.json()["error"]["message"]


def test_a_number_that_an_ended_job_never_had_is_refused(running: Cluster, key: str) -> None:
    answer = requests.post(f"{running.url}/v1/chat/completions", json=BODY, headers=headers(key), timeout=20)
    url = f"{running.url}/v1/jobs/{answer.headers['X-Job-Id']}"
    last = requests.get(url, headers=headers(key), timeout=10).json()["number"]
    for number, status in ((last, 200), (last + 1, 400), (999_999_999, 400)):
        again = requests.get(f"{url}/events", headers=headers(key) | {"Last-Event-ID": str(number)}, timeout=10)
        assert again.status_code == status
    words = f"number 999999999: the last event of this job has number {last}"
    assert again.json()["error"]["message"] == words


def ask(
    running: Cluster, key: str, body: dict[str, Any], idempotency: str, path: str = "/v1/chat/completions"
) -> Any:
    asked = headers(key, Idempotency_Key=idempotency)
    return requests.post(f"{running.url}{path}", json=body, headers=asked, timeout=20)


def test_a_request_that_is_sent_again_is_the_same_job(running: Cluster, key: str) -> None:
    whole = {**BODY, "stream": False, "max_tokens": 20}
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: ask(running, key, whole, "one"), range(5)))
    answers.append(ask(running, key, whole, "one"))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["X-Job-Id"] for answer in answers}) == 1
    assert len({answer.text for answer in answers}) == 1
    assert ask(running, key, whole, "two").headers["X-Job-Id"] != answers[0].headers["X-Job-Id"]


def cut_off(running: Cluster, key: str, idempotency: str, most: int) -> str:
    """Begin a stream with an Idempotency-Key and leave it; the job's id."""
    url = f"{running.url}/v1/chat/completions"
    asked = headers(key, Idempotency_Key=idempotency)
    with requests.post(url, json=BODY, headers=asked, stream=True, timeout=20) as response:
        assert len(list(events(response, most))) == most
        return response.headers["X-Job-Id"]


def test_who_is_cut_off_and_sends_again_has_not_left(running: Cluster, key: str) -> None:
    job_id = cut_off(running, key, "cut off", 5)
    time.sleep(1.5)  # longer than the gateway needs to notice
    url = f"{running.url}/v1/chat/completions"
    asked = headers(key, Idempotency_Key="cut off")
    with requests.post(url, json=BODY, headers=asked, stream=True, timeout=20) as again:
        assert again.headers["X-Job-Id"] == job_id
        assert "".join(text for _, text in events(again)) == WORDS


@pytest.mark.parametrize("ended", [True, False])
def test_what_was_given_up_is_begun_anew(running: Cluster, key: str, ended: bool) -> None:
    """As when the client stays away for too long. The job may have no worker yet to write its end."""
    job_id = cut_off(running, key, f"given up {ended}", 5)
    log, client = JobLog(running.valkey.client, log_ttl=60), running.valkey.client
    log.leave(job_id, "m", client.hget(keys.job(job_id), "reader").decode())
    if ended:
        wait_for(lambda: job(running, job_id, key)["state"] == "cancelled", 5, "the job to be cancelled")
    again = ask(running, key, BODY, f"given up {ended}")
    assert again.headers["X-Job-Id"] != job_id
    assert "".join(text for _, text in events(again)) == WORDS


def test_what_was_cancelled_by_its_id_stays_so(running: Cluster, key: str) -> None:
    job_id = cut_off(running, key, "cancelled", 5)
    requests.delete(f"{running.url}/v1/jobs/{job_id}", headers=headers(key), timeout=10)
    again = ask(running, key, BODY, "cancelled")
    assert again.headers["X-Job-Id"] == job_id
    assert '"code":"cancelled"' in again.text.replace(" ", "")


@contextmanager
def unhurried(folder: Path, **settings: Any) -> Iterator[tuple[Cluster, Process, str]]:
    """A cluster whose one model says 20 tokens a second, its gateway, and a key."""
    with cluster(folder, {"m": simulated_model(tokens_per_second=20)}, **settings) as running:
        gateway = running.start_gateway()
        running.start_worker("m")
        yield running, gateway, running.key()


def wait_until_running(running: Cluster, jobs: int = 1) -> None:
    wait_for(lambda: running.valkey.client.hlen(keys.lease("m")) == jobs, 10, "the jobs to run")


@pytest.mark.parametrize("stream", [True, False])
def test_a_gateway_that_stops_sends_its_clients_to_another(tmp_path: Path, stream: bool) -> None:
    words = " ".join(f"w{number}" for number in range(200))
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": f"echo {words}"}]}
    with unhurried(tmp_path) as (running, first, key):
        with ThreadPoolExecutor() as pool:
            told = pool.submit(ask, running, key, body, "one")
            wait_until_running(running)
            assert first.stop(12) == 0
        assert '"code":"gateway_stopping"' in told.result().text.replace(" ", "")
        if not stream:
            assert told.result().status_code == 503
            assert told.result().headers["Retry-After"] == "1"
        running.start_gateway()
        answer = ask(running, key, body, "one")
        found = job(running, answer.headers["X-Job-Id"], key)
        assert (found["state"], found["text"], found["attempt"]) == ("succeeded", words, 1)
        assert len([name for name in running.valkey.client.keys("job:*") if not name.endswith(b":log")]) == 1


def test_so_does_one_that_cannot_reach_redis(tmp_path: Path) -> None:
    with unhurried(tmp_path) as (running, gateway, key):
        with ThreadPoolExecutor() as pool:
            told = pool.submit(ask, running, key, BODY | {"stream": False}, "one")
            wait_until_running(running)
            running.valkey.stop()
            assert gateway.stop(20) == 0
        assert (told.result().status_code, told.result().headers["Retry-After"]) == (503, "1")
        assert told.result().json()["error"]["code"] == "gateway_stopping"


def test_an_answer_that_is_nearly_there_is_waited_for(tmp_path: Path) -> None:
    with unhurried(tmp_path) as (running, gateway, key):
        body = {"model": "m", "messages": [{"role": "user", "content": "echo " + "a " * 50 + "z"}]}
        with ThreadPoolExecutor() as pool:
            told = pool.submit(ask, running, key, body, "one")
            wait_until_running(running)
            assert gateway.stop(12) == 0
        assert told.result().status_code == 200
        assert told.result().json()["choices"][0]["message"]["content"] == "a " * 50 + "z"


LONG = "echo " + "a " * 140 + "z"
"""Seven seconds, at 20 tokens a second: more than a gateway that stops usually leaves."""


def test_streams_are_waited_for_as_long_as_the_operator_says(tmp_path: Path) -> None:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": LONG}]}
    with unhurried(tmp_path, gateway_drain_timeout=60) as (running, gateway, key):
        with ThreadPoolExecutor() as pool, socketio.SimpleClient() as plain:
            plain.connect(running.url, transports=["websocket"])
            plain.emit("prompt", {"model": "m", "context": body["messages"], "token": key})
            told = pool.submit(ask, running, key, body, "one")
            wait_until_running(running, 2)
            stopped = pool.submit(gateway.stop, 30)
            texts = []
            while (text := plain.receive(timeout=15)[1]) != "ENDOFMESSAGE":
                texts.append(text)
            assert stopped.result() == 0
        assert "".join(text for _, text in events(told.result())) == LONG.removeprefix("echo ")
        assert "".join(text for text in texts if isinstance(text, str)) == LONG.removeprefix("echo ")


def test_who_is_told_twice_waits_for_nobody(tmp_path: Path) -> None:
    with unhurried(tmp_path, gateway_drain_timeout=60) as (running, gateway, key):
        with ThreadPoolExecutor() as pool:
            told = pool.submit(ask, running, key, ENDLESS, "one")
            wait_until_running(running)
            port = int(running.url.rsplit(":", 1)[1])
            gateway.signal(signal.SIGTERM)
            wait_for(lambda: not connects(port), 10, "the gateway to stop listening")
            assert gateway.stop(20) == 0
        assert '"code":"gateway_stopping"' in told.result().text.replace(" ", "")


def test_a_stream_can_be_asked_for_again(running: Cluster, key: str) -> None:
    answers = [ask(running, key, BODY, "stream") for _ in range(2)]
    assert [answer.text.count("data: ") for answer in answers] == [answers[0].text.count("data: ")] * 2
    assert answers[0].headers["X-Job-Id"] == answers[1].headers["X-Job-Id"]


@pytest.mark.parametrize(("within", "numbered"), [("0", False), ("10", True)])
def test_only_who_asks_for_numbers_gets_them(running: Cluster, key: str, within: str, numbered: bool) -> None:
    """An Idempotency-Key changes nothing in what a stream looks like, neither at first nor later."""
    url = f"{running.url}/v1/chat/completions"
    asked = headers(key, Idempotency_Key=f"numbers {within}", X_Resume_Within=within)
    for _ in range(2):
        answer = requests.post(url, json=BODY, headers=asked, timeout=20)
        assert [number > 0 for number, _ in events(answer)] == [numbered] * answer.text.count("data: {")


def test_the_seeds_dialect_knows_idempotency_too(running: Cluster, key: str) -> None:
    body = {"messages": [{"role": "user", "content": "echo a b"}]}
    answers = [ask(running, key, body, "seed", "/v1/free/m") for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"response": "a b"}] * 2
    mismatch = ask(running, key, body | {"max_tokens": 1}, "seed", "/v1/free/m")
    assert (mismatch.status_code, mismatch.json()["error"]["code"]) == (409, "idempotency_mismatch")
    stranger = running.accounts.create_key("a stranger", "free").secret
    assert ask(running, stranger, body | {"max_tokens": 1}, "seed", "/v1/free/m").json() == {"response": "a"}


def test_what_was_refused_may_be_sent_again(running: Cluster, key: str) -> None:
    body = {"model": "pictures", "messages": BODY["messages"]}
    assert ask(running, key, body, "refused").status_code == 400
    assert ask(running, key, BODY, "refused").status_code == 200
    assert ask(running, key, BODY, "x" * 300).status_code == 400


def test_a_request_refused_at_the_door_leaves_nothing_behind(running: Cluster, key: str) -> None:
    """There is no job that its client could leave, nor one to come back to."""
    client = running.valkey.client
    body = {"model": "nobody", "messages": BODY["messages"]}
    client.delete(keys.LEAVING)
    refused = ask(running, key, body, "at the door")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
    again = ask(running, key, BODY | {"max_tokens": 1}, "at the door")
    assert again.status_code == 200
    assert again.elapsed.total_seconds() < ADMITTED, "its key was free at once"
    # A client that leaves a job marks it so, and in the order of leaving.
    cut_off(running, key, "after it", 5)
    wait_for(lambda: client.zcard(keys.LEAVING), 5, "the other client to be missed")
    assert client.zcard(keys.LEAVING) == 1


def test_a_gateway_that_stops_keeps_those_who_wait_in_line(tmp_path: Path) -> None:
    """Who may come back is told to, and is served in its turn, through another gateway; who may not has left."""
    models = {"m": simulated_model(tokens_per_second=500, capacity=1)}
    with cluster(tmp_path, models, hold=60, hold_unserved=True) as running:
        first = running.start_gateway()
        key, client = running.key(), running.valkey.client
        url = f"{running.url}/v1/chat/completions"

        def line() -> list[str]:
            snapshot = Lines(client, log_ttl=60).snapshot("m")
            return [job_id for tier in snapshot.tiers for account in tier.accounts for job_id in account.jobs]

        def join(ask: Callable[[], Any], count: int) -> Any:
            begun = ask()
            wait_for(lambda: len(line()) == count, 10, "it to wait in line")
            return begun

        with ThreadPoolExecutor() as pool:
            post = partial(pool.submit, requests.post, url, timeout=30)
            stream = join(lambda: post(json=BODY, headers=headers(key, X_Resume_Within="60")), 1)
            whole = join(lambda: pool.submit(ask, running, key, BODY | {"stream": False}, "one"), 2)
            socket = _Resumer(running.url)
            prompt = {"model": "m", "context": BODY["messages"], "token": key, "resume_within": 60}
            join(lambda: socket.emit("prompt", prompt), 3)
            gone = join(lambda: post(json=BODY, headers=headers(key)), 4)
            kept = line()[:3]
            assert first.stop(12) == 0
        *comments, error, end = (part for part in stream.result().text.split("\n\n") if part)
        assert comments[0].startswith(": no worker, position 1")
        assert ('"code":"gateway_stopping"' in error, end) == (True, "data: [DONE]")
        assert (whole.result().status_code, whole.result().headers["Retry-After"]) == (503, "1")
        assert '"code":"gateway_stopping"' in gone.result().text
        wait_for(lambda: not socket.connected, 5, "the connection to end")
        socket.close()
        assert line() == kept, "in the order in which they came, without the one that has left"

        running.start_gateway()
        again = _Resumer(running.url)
        again.emit("resume", {"job": socket.job, "number": 0, "token": key})
        running.start_worker("m")
        assert stream.result().headers["X-Job-Id"] == kept[0]
        assert rest(running, kept[0], 0, key) == WORDS
        answer = ask(running, key, BODY | {"stream": False}, "one")
        assert answer.headers["X-Job-Id"] == kept[1]
        assert answer.json()["choices"][0]["message"]["content"] == WORDS
        wait_for(lambda: again.chunks, 10, "the end")
        assert "".join(piece["text"] for piece in again.pieces) == WORDS
        again.close()
        found = [job(running, job_id, key) for job_id in (*kept, gone.result().headers["X-Job-Id"])]
        assert [(each["state"], each["attempt"]) for each in found] == [("succeeded", 1)] * 3 + [("cancelled", 0)]
