"""Things tests make."""

import time
from typing import Any

import msgspec

from shared.catalog import Model
from shared.messages import Chunk, End, Job


def make_job(job_id: str = "job_1", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": job_id,
        "model": "m",
        "kind": "chat",
        "body": {"messages": [{"role": "user", "content": "hello"}], "stream": True},
        "account": "acc",
        "tier": "free",
        "reply_to": "gw1",
        "created": time.time(),
        "deadline": time.time() + 60,
    }
    return Job(**(fields | changes))


def make_model(**changes: Any) -> Model:
    fields: dict[str, Any] = {
        "id": "m",
        "kind": "chat",
        "engine": "simulated",
        "weights": "",
        "description": "a test",
    }
    return Model(**(fields | changes))


def piece(attempt: int, text: str) -> Chunk:
    """A chunk whose payload is a chat chunk with this text."""
    payload = msgspec.json.encode({"choices": [{"delta": {"content": text}}]})
    return Chunk(attempt, [len(text)], msgspec.Raw(payload))


def last(attempt: int) -> Chunk:
    return Chunk(attempt, [], end=End(state="succeeded", finish_reason="stop"))
