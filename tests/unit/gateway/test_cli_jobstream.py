"""A job as the command line follows it, through connections that break where the test wants."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.cli.failures import CommandFailed, NotReady
from gateway.cli.jobstream import WITHIN, Back, Begun, Event, Halt, JobStream, Lost, Pace, Told, Waiting
from tests.clock import Clock

JOB = "job_1"
DONE = "data: [DONE]\n\n"
BREAKS = httpx.ReadError("broken")
AWAY = httpx.ConnectError("away")
STOPPING = httpx.Response(503, json={"error": {"code": "gateway_stopping", "message": "Again."}})
NOBODY = httpx.Response(503, json={"error": {"code": "model_unavailable", "message": "No."}})
PROXY = httpx.Response(502, text="<html>")
UNFIT = httpx.Response(400, json={"error": {"code": "invalid", "message": "No."}})


class Broken(httpx.SyncByteStream):
    """A stream that breaks behind this."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[bytes]:
        yield self._text.encode()
        raise BREAKS


class Server:
    """Gives these answers one after the other, the last for ever: a stream's text, one that breaks behind it, a
    response, or what goes wrong with the connection. A job is of the state `state` once it was deleted."""

    def __init__(self, *answers: "str | Broken | httpx.Response | httpx.TransportError") -> None:
        self.requests: list[httpx.Request] = []
        self.clock = Clock()
        self.slept: list[float] = []
        self.record: dict[str, Any] = {"state": "cancelled", "attempt": 1}
        self._answers = list(answers)
        self._client = httpx.Client(base_url="http://crofai", transport=httpx.MockTransport(self._answer))

    def stream(self, job: str | None = None, is_last: Callable[[dict[str, Any]], bool] | None = None) -> JobStream:
        pace = Pace(self.clock, self._sleep, lambda low, high: (low + high) / 2)
        more: dict[str, Any] = {"is_last": is_last} if is_last else {}
        return JobStream(self._client, "/v1/x", {"model": "m"}, job=job, pace=pace, **more)

    @property
    def asked(self) -> list[tuple[str, str | None]]:
        """Each request, and from which event on."""
        return [(f"{each.method} {each.url.path}", each.headers.get("Last-Event-ID")) for each in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == f"/v1/jobs/{JOB}":
            return httpx.Response(200, json=self.record)
        match self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]:
            case httpx.TransportError() as error:
                raise error
            case httpx.Response() as response:
                return httpx.Response(response.status_code, content=response.content)
            case Broken() as broken:
                return httpx.Response(200, headers={"X-Job-Id": JOB}, stream=broken)
            case text:
                return httpx.Response(200, headers={"X-Job-Id": JOB}, text=text)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds


def event(said: Any, number: int | None = None) -> str:
    """Of a stream."""
    return ("" if number is None else f"id: {number}\n") + f"data: {json.dumps({'said': said})}\n\n"


def said(told: list[Told]) -> list[Any]:
    return [each.data["said"] for each in told if isinstance(each, Event)]


def test_each_event_is_told_once_and_in_order() -> None:
    server = Server(": waiting, position 2\n\n" + event("a", 1) + event("b", 2) + DONE)
    told = list(server.stream().events())
    assert [type(each) for each in told] == [Begun, Waiting, Event, Event]
    assert said(told) == ["a", "b"]
    (request,) = server.requests
    assert (json.loads(request.content), request.headers["Content-Type"]) == ({"model": "m"}, "application/json")
    assert request.headers["X-Resume-Within"] == str(WITHIN)


@pytest.mark.parametrize(
    ("answers", "texts", "since"),
    [
        ([Broken(event("a", 1)), event("b", 2) + DONE], ["a", "b"], ["1"]),
        ([event("a", 1), event("b", 2) + DONE], ["a", "b"], ["1"]),
        ([Broken(event("a", 1)), event("a", 1) + event("b", 2) + DONE], ["a", "b"], ["1"]),
        (
            [Broken(event("a1") + event("a2", 1) + event("b1")), event("b1") + event("b2", 2) + DONE],
            ["a1", "a2", "b1", "b2"],
            ["1"],
        ),
        ([Broken(event("a1")), event("a1") + event("a2", 1) + DONE], ["a1", "a2"], ["0"]),
        ([Broken(event("a1") + event("a2", 1)), event("a1") + event("a2", 1) + DONE], ["a1", "a2"], ["1"]),
        ([event("a") + event("b") + DONE], ["a", "b"], []),
        ([Broken(event("a")), event("a") + event("b") + DONE], ["a", "b"], ["0"]),
        ([Broken(event("a", 1)), AWAY, STOPPING, PROXY, DONE], ["a"], ["1"] * 4),
        ([Broken(event("a", 1) + DONE)], ["a"], []),
    ],
    ids=[
        "a break",
        "an end before the answer's",
        "a duplicate",
        "a break inside a group of which the last has the number",
        "a break inside the first group",
        "a duplicate group",
        "no numbers",
        "no numbers and a break",
        "several breaks",
        "a break after the end",
    ],
)
def test_it_goes_on_where_it_was(answers: list[Any], texts: list[str], since: list[str]) -> None:
    server = Server(*answers)
    told = list(server.stream().events())
    assert said(told) == texts
    assert server.asked == [("POST /v1/x", None), *((f"GET /v1/jobs/{JOB}/events", number) for number in since)]
    losses = [each for each in told if isinstance(each, Lost | Back)]
    assert losses == ([*(Lost(tries) for tries in range(1, len(since) + 1)), Back()] if since else [])


def test_what_has_no_mark_of_its_end_ends_with_its_last_event() -> None:
    server = Server(event("a", 1), event("end", 2))
    told = list(server.stream(is_last=lambda data: data["said"] == "end").events())
    assert said(told) == ["a", "end"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answers",
    [[BREAKS, DONE], [BREAKS, AWAY, DONE], [PROXY, AWAY, DONE], [STOPPING, DONE]],
    ids=["a break", "a restart", "a restart behind a proxy", "a gateway that stops"],
)
def test_a_request_is_sent_again_as_the_same_before_there_is_a_job(answers: list[Any]) -> None:
    server = Server(*answers)
    assert Begun(JOB) in server.stream().events()
    assert len(server.requests) == len(answers)
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("answers", "tries", "exit_status"),
    [([AWAY], 1, 3), ([NOBODY], 1, 3), ([UNFIT], 1, 1), ([BREAKS], 3, 3), ([PROXY], 3, 3)],
    ids=["no server", "no worker", "a bad request", "breaks", "a proxy with nobody behind it"],
)
def test_who_has_no_job_gives_up_soon(answers: list[Any], tries: int, exit_status: int) -> None:
    server = Server(*answers)
    with pytest.raises(CommandFailed) as raised:
        list(server.stream().events())
    assert (len(server.requests), raised.value.exit_status) == (tries, exit_status)
    assert server.slept == [0.4, 0.8][: tries - 1]


def test_who_has_one_is_patient_and_asks_less_often() -> None:
    server = Server(Broken(event("a", 1)), AWAY)
    with pytest.raises(NotReady, match=f"could not be reached for {WITHIN} s") as raised:
        list(server.stream().events())
    assert raised.value.code == "lost"
    assert server.slept[:6] == [0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert WITHIN < server.clock.now <= WITHIN + 5


def test_patience_begins_anew_with_what_comes() -> None:
    server = Server(*[Broken(event(number, number)) for number in range(1, 200)], DONE)
    assert len(said(list(server.stream().events()))) == 199
    assert server.clock.now > WITHIN


@pytest.mark.parametrize("answer", [UNFIT, httpx.Response(404, text="")], ids=["refused", "unknown"])
def test_a_job_that_is_refused_is_given_up_at_once(answer: httpx.Response) -> None:
    server = Server(answer)
    with pytest.raises(CommandFailed):
        list(server.stream(JOB).events())
    assert server.asked == [(f"GET /v1/jobs/{JOB}/events", "0")]


def test_a_failure_within_the_stream_ends_it() -> None:
    failure = {"error": {"code": "engine_failed", "message": "It broke."}}
    server = Server(event("a", 1) + f"data: {json.dumps(failure)}\n\n")
    with pytest.raises(CommandFailed, match="It broke"):
        list(server.stream().events())
    assert len(server.requests) == 1


# Stopping


def test_a_job_is_stopped_and_its_end_waited_for() -> None:
    server = Server(event("a", 1) + event("b", 2) + DONE)
    stream = server.stream(JOB)
    asked: list[str] = []
    assert stream.stop(lambda: asked.extend(request for request, _ in server.asked)).job == server.record
    assert asked == [f"DELETE /v1/jobs/{JOB}"], "what the user is told comes after what the server is told"
    assert [request for request, _ in server.asked[1:]] == [f"GET /v1/jobs/{JOB}/events", f"GET /v1/jobs/{JOB}"]


def test_one_of_which_nothing_is_known_yet_is_asked_for_by_its_request() -> None:
    server = Server(BREAKS, DONE)
    stream = server.stream()
    assert next(stream.events()) == Lost(1)
    assert stream.stop().job == server.record
    assert [request for request, _ in server.asked[:3]] == ["POST /v1/x", "POST /v1/x", f"DELETE /v1/jobs/{JOB}"]
    assert len({request.headers["Idempotency-Key"] for request in server.requests[:2]}) == 1


def test_a_server_that_cannot_be_told_is_told_of() -> None:
    halt = Server(AWAY).stream().stop()
    assert isinstance(halt.error, NotReady)


@pytest.mark.parametrize(
    ("halt", "words"),
    [
        (
            Halt(error=CommandFailed("away")),
            "stopped here; the server cannot be told, so the job may go on, for 60 s at most",
        ),
        (Halt(), "stopped here; whether the slot is free is not known: its worker has not said so"),
        (Halt({"state": "succeeded", "attempt": 1}), "it had ended before it could be stopped"),
        (Halt({"state": "cancelled", "attempt": 0}), "stopped; it had not begun, and took no slot"),
        (
            Halt({"state": "cancelled", "attempt": 1}, 0.017),
            "stopped; the slot is free again, 17 ms after Ctrl-C",
        ),
    ],
)
def test_it_is_told_in_words_how_a_job_was_stopped(halt: Halt, words: str) -> None:
    assert halt.words == words
