"""A client over Socket.IO, by the library that users have: it resumes on a connection of its own."""

from functools import partial
from typing import Any

import engineio
import socketio
from socketio.exceptions import SocketIOError

from tests.chaos.client import GRACE, Client

SILENT = 20.0  # seconds without any event after which it tries another gateway


class _Transport(engineio.Client):
    """Hands over messages in their order: the library's own has a thread for each, and the later may be first."""

    def _trigger_event(self, event: str, *args: Any, **_: Any) -> Any:
        return super()._trigger_event(event, *args)


class _Connection(socketio.Client):
    def _engineio_client_class(self) -> type[engineio.Client]:
        return _Transport


class SocketClient(Client):
    """One prompt; after a lost connection, the rest of its answer over another."""

    LOST = (SocketIOError,)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._number = 0
        self._pieces = 0
        self._connection: socketio.Client | None = None

    def ask(self, url: str) -> None:
        self._closing: str | None = None
        self._error: dict[str, Any] | None = None
        self._gone = False
        self._heard = self.entry.now()
        connection = self._connect(url)
        try:
            self._send(connection)
            while connection.connected and self._closing is None and not self._gone and not self._is_silent():
                self._stop.wait(0.02)
        finally:
            connection.disconnect()
        self._judge()

    def _connect(self, url: str) -> socketio.Client:
        connection = self._connection = _Connection(reconnection=False)
        for event in ("job", "piece", "usage", "error", "chunk"):
            connection.on(event, partial(self._take, connection, event))
        connection.connect(url, transports=["websocket"], wait_timeout=10)
        return connection

    def _send(self, connection: socketio.Client) -> None:
        if self.entry.jobs:
            wanted = {"job": self.entry.jobs[-1], "number": self._number, "resume_within": GRACE}
            connection.emit("resume", wanted | {"token": self._key})
        else:
            question = self.request.question
            context = [{"role": "user", "content": question.prompt}]
            # To go for good is to stay away for longer than one said.
            grace = 1 if self.request.leaves else GRACE
            prompt = {"model": question.model, "context": context, "token": self._key, "resume_within": grace}
            connection.emit("prompt", prompt | {"max_tokens": question.most, "temperature": 0})

    def _judge(self) -> None:
        if self._gone:
            self.stay_away()
        elif self._closing == "ENDOFMESSAGE":
            self.entry.finish("answered")
        elif self._error is not None:
            status, code = self._error["status"], self._error["code"]
            if not self.entry.jobs:
                again = self._error["retry_after"]
                self.entry.refused(status, code, None if again is None else str(again))
            self.fail(status, code)
        elif self._closing is not None:
            self.entry.wrong("a failure without an error")
        else:
            self.entry.note(f"the connection was lost after number {self._number}")

    def _is_silent(self) -> bool:
        return self.entry.now() - self._heard > SILENT

    def _take(self, connection: socketio.Client, event: str, data: Any) -> None:
        """Called in a thread of the connection's; what a connection says that was given up is not heard."""
        if connection is self._connection and not self._gone:
            self._heard = self.entry.now()
            getattr(self, f"_on_{event}")(data)

    def _on_job(self, data: dict[str, Any]) -> None:
        self.entry.job(data["job"])

    def _on_piece(self, data: dict[str, Any]) -> None:
        self.entry.news()
        if data["number"] <= self._number:
            self.entry.wrong(f"piece {data['number']} follows piece {self._number}")
        self._number = data["number"]
        self.entry.text += data["text"]
        self._pieces += 1
        self._gone = self.goes(self._pieces)

    def _on_usage(self, data: dict[str, Any]) -> None:
        self.entry.usage = {name: data[name] for name in ("prompt_tokens", "completion_tokens")}
        self.entry.finish_reason = data["finish_reason"]

    def _on_error(self, data: dict[str, Any]) -> None:
        self._error = data

    def _on_chunk(self, data: str) -> None:
        self._closing = data
