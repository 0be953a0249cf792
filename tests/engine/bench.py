"""Engines, loaded for tests, and what their pieces say."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shared.catalog import Model
from shared.messages import Chunk, Job
from tests.factories import make_job
from workers.engines import make_engine
from workers.engines.base import Done, Engine, Meter, Piece

CHAT = {"messages": [{"role": "user", "content": "Count to ten."}], "temperature": 0, "max_tokens": 12}
COMPLETION = {"prompt": "one two three four", "temperature": 0, "max_tokens": 12}
IMAGE = {"prompt": "a cat", "seed": 7}


class Bench:
    """One loaded engine, on a loop that stays open for all tests of it."""

    def __init__(self, model: Model, kind: str | None, data_dir: Path) -> None:
        self.model = model
        self.in_process = kind == "simulated" or model.engine == "diffusers"
        self.reports: list[tuple[float, str]] = []
        self._numbers = iter(range(10**6))
        self._runner = asyncio.Runner()
        self.engine: Engine = self.run(self._load(kind, data_dir))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(300):
                return await coroutine

        return self._runner.run(limited())

    def close(self) -> None:
        self.run(self.engine.close())
        self._runner.close()

    def job(self, body: dict[str, Any] | None = None, **changes: Any) -> Job:
        body = body or (IMAGE if self.model.kind == "image" else CHAT | {"stream": True})
        kind = "completion" if self.model.kind == "chat" and "prompt" in body else self.model.kind
        number = next(self._numbers)
        return make_job(f"job_{number}", model=self.model.id, kind=kind, body=body | changes)

    def answer(self, job: Job, meter: Meter | None = None) -> tuple[list[Piece], Done]:
        return self.run(collect(self.engine, job, meter=meter))

    async def _load(self, kind: str | None, data_dir: Path) -> Engine:
        engine = make_engine(self.model, data_dir, kind)
        self.capacity_before = engine.capacity
        await engine.load(lambda share, detail: self.reports.append((share, detail)))
        return engine


async def collect(
    engine: Engine, job: Job, recorded: Sequence[Chunk] = (), meter: Meter | None = None
) -> tuple[list[Piece], Done]:
    items = [item async for item in engine.generate(job, recorded, meter)]
    assert isinstance(items[-1], Done)
    pieces = [item for item in items if isinstance(item, Piece)]
    assert len(pieces) == len(items) - 1, "exactly one Done, at the end"
    return pieces, items[-1]


def choices(piece: Piece) -> Any:
    return json.loads(piece.payload)["choices"]


def tokens(pieces: list[Piece]) -> list[int]:
    return [token for piece in pieces for token in piece.tokens]


def as_chunks(pieces: list[Piece]) -> list[Chunk]:
    """The pieces, as the log of a first attempt has them."""
    return [Chunk(1, piece.tokens, msgspec.Raw(piece.payload)) for piece in pieces]


def finishes(pieces: list[Piece]) -> list[str]:
    found = [choice["finish_reason"] for piece in pieces for choice in choices(piece)]
    return [reason for reason in found if reason]


def content(pieces: list[Piece], place: int = 0) -> str:
    """The text of a chat's or completion's answer in this place, or the pictures of an image job."""
    bodies = [json.loads(piece.payload) for piece in pieces]
    said = [choice for body in bodies for choice in body.get("choices", []) if choice["index"] == place]
    texts = [
        choice.get("delta", choice.get("message", {})).get("content") or choice.get("text", "") for choice in said
    ]
    return "".join(texts) + "".join(image["b64_json"] for body in bodies for image in body.get("data", []))
