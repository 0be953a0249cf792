"""A Socket.IO client of our own, for what the printed clients do not ask."""

import threading
from types import TracebackType
from typing import Any, Self

import socketio

CLOSING = ("ENDOFMESSAGE", "||AI ERROR||")


class Conversation:
    """One connection and its answers, one after the other. Leaving the context drops the connection."""

    def __init__(self, url: str, key: str) -> None:
        self.events: list[tuple[str, Any]] = []
        self._key = key
        self._ended = threading.Event()
        self._socket = socketio.Client(reconnection=False)
        self._socket.on("*", self._take)
        self._socket.connect(url, wait_timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.disconnect()

    def ask(self, model: str, text: str, **more: Any) -> Self:
        """Send a prompt in the document's shape. Does not wait."""
        context = [{"role": "user", "content": text}]
        self.events = []
        self._ended.clear()
        self._socket.emit("prompt", {"model": model, "context": context, "token": self._key, **more})
        return self

    def answer(self, patience: float = 60) -> str:
        """The whole text, once it has ended well."""
        assert self._ended.wait(patience), f"no end after {patience} s: {self.events[-3:]}"
        assert self.chunks[-1] == "ENDOFMESSAGE", self.events[-3:]
        return "".join(self.chunks[:-1])

    @property
    def chunks(self) -> list[str]:
        return [data for event, data in self.events if event == "chunk"]

    @property
    def usage(self) -> dict[str, Any]:
        (usage,) = [data for event, data in self.events if event == "usage"]
        return dict(usage)

    def _take(self, event: str, data: Any) -> None:
        self.events.append((event, data))
        if event == "chunk" and data in CLOSING:
            self._ended.set()
