"""A job, from its request to its end, whatever becomes of the connection."""

import json
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.cli import api
from gateway.cli.failures import CommandFailed, NotReady
from gateway.cli.place import Place, place_of
from gateway.cli.sse import server_sent_events
from gateway.cli.units import seconds

WITHIN = 60
"""Seconds for which a job goes on without its client, and for which that tries to come back."""

SILENCE = 15.0  # seconds; a stream says something every second, if only a comment
FIRST_TRIES = 3  # of a request, until the gateway has told of its job
FIRST_PAUSE, LONGEST_PAUSE = 0.4, 5.0  # seconds
LETTING_GO = 15.0  # seconds in which a worker should let go of a job that is cancelled
IN_PASSING = 2.0  # seconds for telling the server that nobody reads on
ENDED = ("succeeded", "failed", "cancelled")
TRY_ANOTHER = ("gateway_stopping", "queue_unreachable")
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Begun:
    """The job has an id."""

    job: str


@dataclass(frozen=True)
class Waiting:
    """Nothing new; this is where it stands."""

    place: Place


@dataclass(frozen=True)
class Lost:
    """The connection broke for the so many'th time in a row, and another one is tried."""

    tries: int


@dataclass(frozen=True)
class Back:
    """It goes on where it was."""


@dataclass(frozen=True)
class Event:
    """What the job says: each once, and in order."""

    data: dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """How time goes by: `spread` gives a number between two."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    spread: Callable[[float, float], float] = random.uniform


USUAL = Pace()
Told = Begun | Waiting | Lost | Back | Event


@dataclass(frozen=True)
class Halt:
    """How a job was stopped. `job` is what the server knows of it then; None if that is not known: the
    server cannot be told (`error`), or the job's worker has not let go of it."""

    job: dict[str, Any] | None = None
    seconds: float = 0.0
    error: CommandFailed | None = None

    @property
    def words(self) -> str:
        """For people."""
        if self.error:
            return f"stopped here; the server cannot be told, so the job may go on, for {WITHIN} s at most"
        if self.job is None:
            return "stopped here; whether the slot is free is not known: its worker has not said so"
        if self.job["state"] != "cancelled":
            return "it had ended before it could be stopped"
        if self.job["attempt"] == 0:
            return "stopped; it had not begun, and took no slot"
        return f"stopped; the slot is free again, {seconds(self.seconds)} after Ctrl-C"


class JobStream:
    """A request to `path`, or the `job` of an earlier one. Iterate `events()` once.

    `is_last` knows the last event of a stream that has no `[DONE]`.
    """

    def __init__(
        self,
        client: httpx.Client,
        path: str = "",
        body: dict[str, Any] | None = None,
        *,
        job: str | None = None,
        is_last: Callable[[dict[str, Any]], bool] = lambda data: False,
        pace: Pace = USUAL,
    ) -> None:
        self.job = job
        self.number = 0  # of the last event
        self._client = client
        self._path = path
        # What a terminal gives may be no text at all; JSON takes text only.
        self._body = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        self._is_last = is_last
        self._pace = pace
        self._once = secrets.token_hex(16)
        self._whole = False

    def events(self) -> Iterator[Told]:
        """To the job's end. Raises CommandFailed for a refusal or its failure, NotReady if no server answers."""
        with api.plain_errors(self._client.base_url):
            yield from self._events()

    def _events(self) -> Iterator[Told]:
        failures, since = 0, 0.0
        told = False
        while not self._whole:
            try:
                with self._connected() as response:
                    if not told and self.job:
                        told = True
                        yield Begun(self.job)
                    if failures:
                        yield Back()
                    for said in self._read(response):
                        failures = 0
                        yield said
                if not self._whole:
                    raise httpx.ReadError("the connection ended before the answer")
            except (httpx.TransportError, CommandFailed) as error:
                if self._whole:
                    return
                if not self._goes_on(error, failures):
                    raise
                since = since if failures else self._pace.clock()
                failures += 1
                self._check_patience(failures, since, error)
                yield Lost(failures)
                self._pace.sleep(self._pause(failures))

    def stop(self, waits: Callable[[], None] = lambda: None) -> Halt:
        """End the job, and wait until its worker has let go of it. `waits` is called before that."""
        begun = self._pace.clock()
        try:
            with api.plain_errors(self._client.base_url):
                if self.job is None:
                    # The request may have arrived; who sends it again learns which job that was.
                    with self._connected():
                        pass
                if self.job:
                    self._cancel()
        except CommandFailed as error:
            return Halt(error=error)
        waits()
        with suppress(CommandFailed), api.plain_errors(self._client.base_url):
            if self.job:
                self._follow_to_end(begun + LETTING_GO)
                took = self._pace.clock() - begun
                found: dict[str, Any] = api.data(self._client.get(f"/v1/jobs/{self.job}"))
                return Halt(found if found["state"] in ENDED else None, took)
        return Halt()

    def abandon(self) -> None:
        """End the job without waiting for anything: nobody reads it."""
        with suppress(httpx.HTTPError, CommandFailed):
            if self.job:
                self._cancel(IN_PASSING)

    def _cancel(self, timeout: float = LETTING_GO) -> None:
        api.check(self._client.delete(f"/v1/jobs/{self.job}", timeout=timeout))

    def _follow_to_end(self, deadline: float) -> None:
        """Read on to the job's end, but no longer than until then."""
        with suppress(CommandFailed), self._connected() as response:
            for _ in self._read(response):
                if self._pace.clock() > deadline:
                    return

    @contextmanager
    def _connected(self) -> Iterator[httpx.Response]:
        """The request; once there is a job, what follows of it."""
        headers = {"X-Resume-Within": str(WITHIN)}
        if self.job is None:
            headers |= {"Idempotency-Key": self._once, "Content-Type": "application/json"}
            asking = self._client.stream("POST", self._path, content=self._body, headers=headers)
        else:
            headers["Last-Event-ID"] = str(self.number)
            asking = self._client.stream("GET", f"/v1/jobs/{self.job}/events", headers=headers)
        with asking as response:
            api.check(response)
            self.job = self.job or response.headers.get("X-Job-Id")
            yield response

    def _read(self, response: httpx.Response) -> Iterator[Told]:
        held: list[Event] = []
        for comment, data, number in server_sent_events(response.iter_bytes()):
            if comment is not None:
                yield Waiting(place_of(comment))
                continue
            if data == "[DONE]":
                self._whole = True
                yield from held
                return
            held.append(Event(said := _decoded(data, response)))
            # Of events that belong together the last has the number: with it, all are there.
            if number is None:
                continue
            if number > self.number:
                self.number = number
                self._whole = self._whole or self._is_last(said)
                yield from held
            held.clear()

    def _goes_on(self, error: httpx.TransportError | CommandFailed, failures: int) -> bool:
        """Whether another connection may have what this one has not. A server that never was there is not waited
        for; one that has gone is."""
        if isinstance(error, httpx.TransportError):
            return self.job is not None or failures > 0 or not isinstance(error, UNSENT)
        status = error.status or 0
        if self.job is None:
            return error.code in TRY_ANOTHER or (error.code is None and status in api.AWAY)
        return error.code in TRY_ANOTHER or status >= 500 or status == 429

    def _check_patience(self, failures: int, since: float, error: Exception) -> None:
        if self.job is None and failures >= FIRST_TRIES:
            raise error
        if self._pace.clock() - since > WITHIN:
            raise NotReady(
                f"{self._client.base_url} could not be reached for {WITHIN} s, so the answer is given up", "lost"
            ) from error

    def _pause(self, failures: int) -> float:
        """Seconds: longer each time, and never the same for all clients of a gateway that went."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
        return longest * self._pace.spread(0.75, 1.25)


def checked_id(job: str) -> str:
    """Raises CommandFailed for what cannot be a job's id."""
    if not re.fullmatch(r"[\w-]{1,80}", job, re.ASCII):
        raise CommandFailed(f"--resume: should be a job's id, such as job_0123456789, got {job[:40]!r}")
    return job


def _decoded(data: str, response: httpx.Response) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise CommandFailed(f"{response.url}: the stream holds something else than JSON: {data[:80]}")
    if error := said.get("error"):
        api.fail(error, 0)
    return said
