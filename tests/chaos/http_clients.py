"""Clients over HTTP: server-sent events, one JSON body, and looking at the job now and then."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tests.chaos.client import ENDED, GRACE, Client

NARROW = 4096  # bytes of receive buffer of one who reads slowly
COME_AGAIN = ("queue_unreachable", "gateway_stopping")


class HttpClient(Client):
    """Sends its request again with the same Idempotency-Key until it is known to have arrived."""

    LOST = (requests.RequestException,)
    timeout = 20.0

    def run(self) -> None:
        with requests.Session() as self.session:
            if self.request.pace is not None:
                self.session.mount("http://", _Narrow())
            super().run()

    def headers(self, **more: object) -> dict[str, str]:
        named = {name.replace("_", "-"): str(value) for name, value in more.items()}
        return {"X-API-Key": self._key} | named

    def post(self, url: str, body: dict[str, Any], **more: object) -> requests.Response:
        headers = self.headers(Idempotency_Key=f"request {self.request.number}", **more)
        return self.session.post(
            f"{url}/v1/chat/completions", json=body, headers=headers, stream=True, timeout=self.timeout
        )

    def accepted(self, response: requests.Response) -> bool:
        """Whether this is an answer; a refusal is noted."""
        if response.status_code == 200:
            self.entry.job(response.headers["X-Job-Id"])
            return True
        self.refuse(response)
        return False

    def refuse(self, response: requests.Response) -> None:
        code = _error(response).get("code", "no code")
        self.entry.refused(response.status_code, code, response.headers.get("Retry-After"))
        self.fail(response.status_code, code)

    def finish(self, usage: dict[str, int] | None, finish_reason: str | None) -> None:
        self.entry.usage, self.entry.finish_reason = usage, finish_reason
        self.entry.finish("answered")


class JsonClient(HttpClient):
    """One body, asked for again until it comes."""

    timeout = 60.0

    def ask(self, url: str) -> None:
        with self.post(url, self.request.question.body()) as response:
            if not self.accepted(response):
                return
            body = json.loads(response.content)
        (choice,) = body["choices"]
        self.entry.text = choice["message"]["content"]
        self.finish(body["usage"], choice["finish_reason"])


class EventsClient(HttpClient):
    """A stream that is taken up again after the last event that came whole, by any gateway."""

    _number = 0
    _error: dict[str, Any] | None = None
    _usage: dict[str, int] | None = None
    _finish_reason: str | None = None

    def ask(self, url: str) -> None:
        self._error = None
        with self._open(url) as response:
            if self.accepted(response):
                self._read(response)
        if self._gone:
            self.stay_away()

    def _open(self, url: str) -> requests.Response:
        self._gone = False
        if self.entry.jobs:
            path = f"{url}/v1/jobs/{self.entry.jobs[-1]}/events"
            headers = self.headers(X_Resume_Within=GRACE, Last_Event_ID=self._number)
            return self.session.get(path, headers=headers, stream=True, timeout=self.timeout)
        grace = 0 if self.request.leaves else GRACE
        body = self.request.question.body() | {"stream": True, "stream_options": {"include_usage": True}}
        return self.post(url, body, X_Resume_Within=grace)

    def _read(self, response: requests.Response) -> None:
        for number, data in self._events(response):
            if data == "[DONE]":
                self._close()
                return
            self._take(number, json.loads(data))
            if self.goes(self._number):
                self._gone = True
                return
        self.entry.note(f"the stream broke off after event {self._number}")

    def _events(self, response: requests.Response) -> Iterator[tuple[int | None, str]]:
        """Events that came whole: each ends with an empty line."""
        number, data = None, ""
        for line in response.iter_lines(chunk_size=512, decode_unicode=True):
            if self.request.pace is not None:
                time.sleep(len(line) / self.request.pace)
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and data:
                yield number, data
                number, data = None, ""

    def _take(self, number: int | None, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self._error = chunk["error"]
            return
        self.entry.news()
        if number is not None and number != self._number + 1:
            self.entry.wrong(f"event {number} follows event {self._number}")
        self._number = number if number is not None else self._number + 1
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"]:
            self.entry.text += choice["delta"].get("content") or ""
            self._finish_reason = choice["finish_reason"] or self._finish_reason

    def _close(self) -> None:
        if self._error is None:
            self.finish(self._usage, self._finish_reason)
        else:
            # The stream's own status was sent long before.
            self.fail(503 if self._error["code"] in COME_AGAIN else 500, self._error["code"])


class PollClient(EventsClient):
    """Begins a stream, goes, and asks from time to time what has become of its job."""

    def ask(self, url: str) -> None:
        if not self.entry.jobs:
            with self._open(url) as response:
                if self.accepted(response):
                    next(self._events(response), None)
            return
        response = self.session.get(f"{url}/v1/jobs/{self.entry.jobs[-1]}", headers=self.headers(), timeout=10)
        if response.status_code == 200:
            self._look(response.json())
        else:
            self.refuse(response)

    def _look(self, job: dict[str, Any]) -> None:
        if not self.request.question.text.startswith(job["text"]):
            self.entry.wrong(f"the job's text is {job['text'][-80:]!r} at its end")
        if job["state"] in ENDED:
            self.entry.text = job["text"]
            if job["error"]:
                self.entry.finish(job["error"]["code"])
            else:
                self.finish(
                    {name: job["usage"][name] for name in ("prompt_tokens", "completion_tokens")},
                    job["finish_reason"],
                )


class _Narrow(HTTPAdapter):
    """Connections whose receive buffers are small."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)]
        super().init_poolmanager(*args, socket_options=options, **kwargs)


def _error(response: requests.Response) -> dict[str, Any]:
    try:
        return dict(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return {"code": f"no JSON: {response.text[:80]!r}"}
