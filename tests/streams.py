"""Streams of a cluster, opened together and read in threads, as many clients would."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.cluster import Cluster


@dataclass
class Stream:
    """One client's stream: what it has got so far."""

    status: int = 0
    job: str = ""
    texts: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    error: dict[str, Any] | None = None
    usage: dict[str, int] | None = None
    finish_reason: str | None = None
    done: bool = False

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def read(self, url: str, body: dict[str, Any], key: str) -> None:
        headers = {"X-API-Key": key}
        with requests.post(url, json=body, headers=headers, stream=True, timeout=60) as response:
            self.status = response.status_code
            self.job = response.headers.get("X-Job-Id", "")
            for line in response.iter_lines(decode_unicode=True):
                if line == "data: [DONE]":
                    self.done = True
                elif line.startswith(("data: ", "{")):
                    self._take(json.loads(line.removeprefix("data: ")))

    def _take(self, chunk: dict[str, Any]) -> None:
        self.error = chunk.get("error", self.error)
        self.usage = chunk.get("usage") or self.usage
        self.times.append(time.perf_counter())
        for choice in chunk.get("choices", []):
            self.texts.append(choice["delta"].get("content") or "")
            self.finish_reason = choice["finish_reason"] or self.finish_reason


@contextmanager
def streams(
    running: Cluster, model: str, prompt: str, count: int, *, tier: str = "premium", **more: Any
) -> Iterator[list[Stream]]:
    """So many streams under way; leaving the context waits for their ends. `more` goes into the bodies."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}], **more}
    opened = [Stream() for _ in range(count)]
    arguments = (f"{running.url}/v1/chat/completions", body, running.key(tier))
    threads = [threading.Thread(target=stream.read, args=arguments, daemon=True) for stream in opened]
    for thread in threads:
        thread.start()
    yield opened
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a stream never ended"
