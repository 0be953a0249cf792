"""A simulated engine: no model, but text, pace, capacity, start-up and faults as ordered.

It ships for trying out a cluster without GPUs and for measuring everything around the engine. The text depends
on the prompt alone. A prompt that begins with "echo " is answered with the rest of it, a word a token. An image is
of one colour, by prompt and seed, and of the size that was asked for.

`engine_args`: tokens_per_second (of each stream), capacity (jobs at once), startup (seconds), length (tokens of
an answer that nothing else ends), steps (of an image, unless its request says), and faults, counted in tokens of a
job: fail_after (the engine raises), stall_after (the engine hangs), exit_after (the process dies as if killed).
"""

import asyncio
import json
import os
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.catalog import Model
from shared.errors import ContextLengthExceeded, EngineFailed, SetupError
from shared.image_args import MAX_STEPS, ImageArgs
from shared.messages import Chunk, Job, Usage
from workers.engines import image_answer
from workers.engines.base import Done, Piece, Progress, Stream
from workers.engines.continuation import following
from workers.engines.image_request import ImageSpec, parse_request

WORDS = """
the a queue engine token stream worker model lease chunk log reader gateway batch step answer question waits runs
sends reads keeps holds moves counts and or but while when because slowly quickly again once
""".split()


class SimulatedArgs(BaseModel):
    """Engine arguments of a simulated entry."""

    model_config = ConfigDict(extra="forbid")

    tokens_per_second: float = Field(50.0, gt=0)
    capacity: int = Field(64, gt=0)
    startup: float = Field(0.0, ge=0)
    length: int = Field(64, gt=0)
    steps: int = Field(8, gt=0, le=MAX_STEPS)
    fail_after: int | None = Field(None, ge=0)
    stall_after: int | None = Field(None, ge=0)
    exit_after: int | None = Field(None, ge=0)


class SimulatedEngine:
    """Stands for either kind of engine, by the model's kind."""

    def __init__(self, model: Model, args: dict[str, Any] | None = None) -> None:
        try:
            self._args = SimulatedArgs(**(args or {}))
        except ValidationError as error:
            first = error.errors()[0]
            raise SetupError(f"{model.id}: engine_args.{first['loc'][0]}: {first['msg']}") from None
        self._model = model
        self._image_args = ImageArgs(steps=self._args.steps, max_steps=MAX_STEPS, size="64x64")
        self._slots = asyncio.Semaphore(self._args.capacity)
        self._steps = _Steps(1 / self._args.tokens_per_second)
        self._hung = False

    @property
    def capacity(self) -> int:
        return self._args.capacity

    async def load(self, progress: Progress) -> None:
        progress(0.0, "simulating start-up")
        await asyncio.sleep(self._args.startup)
        progress(1.0, "ready")

    def generate(self, job: Job, recorded: Sequence[Chunk] = ()) -> Stream:
        if job.kind == "image":
            return self._images(job)
        known = sum(len(chunk.tokens) for chunk in recorded)
        return following(self._chat(job, known), recorded)

    async def ping(self) -> None:
        if self._hung:
            await asyncio.Event().wait()

    async def close(self) -> None:
        self._steps.close()

    async def _chat(self, job: Job, known: int) -> Stream:
        prompt = _prompt(job.body)
        if 0 < self._model.context <= len(prompt.split()):
            raise ContextLengthExceeded(param="messages")
        words, finish_reason = self._answer(prompt, _most_tokens(job.body))
        usage = Usage(prompt_tokens=len(prompt.split()), completion_tokens=len(words))
        async with self._slots:
            spoken = self._spoken(words, known)
            pieces = _streamed(job, spoken, finish_reason, usage) if job.body.get("stream") else None
            async for piece in pieces or _whole(job, spoken, finish_reason, usage):
                yield piece
        yield Done(finish_reason=finish_reason, usage=usage)

    def _answer(self, prompt: str, most: int | None) -> tuple[list[str], str]:
        """All words of an answer, and why it ends."""
        if prompt.startswith("echo "):
            words = [word if n == 0 else f" {word}" for n, word in enumerate(prompt[5:].split(" "))]
        else:
            chosen = random.Random(prompt).choices(WORDS, k=self._args.length)
            words = [word if n == 0 else f" {word}" for n, word in enumerate(chosen)]
        return (words[:most], "length") if most is not None and most < len(words) else (words, "stop")

    async def _spoken(self, words: list[str], known: int) -> Any:
        """The words at the engine's pace, with its faults; those that are known take no time."""
        for number, word in enumerate(words):
            if number < known:
                yield word
                continue
            if number == self._args.fail_after:
                raise EngineFailed("simulated failure")
            if number == self._args.stall_after:
                self._hung = True
                await asyncio.Event().wait()
            if number == self._args.exit_after:
                os._exit(137)
            await self._steps.next()
            yield word

    async def _images(self, job: Job) -> Stream:
        specs = parse_request(job, self._image_args)
        steps = specs[0].shape.steps
        async with self._slots:
            for step in range(1, steps + 1):
                await self._steps.next()
                yield Piece(payload=image_answer.progress(job, step, steps))
            yield Piece(payload=image_answer.result(job, specs, [_png(spec) for spec in specs]))
        yield Done(finish_reason="stop", usage=image_answer.usage(specs))


class _Steps:
    """The engine's step: one token for every stream at the same moment, as batching engines give it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next: asyncio.Future[None] | None = None
        self._closed = False

    async def next(self) -> None:
        if self._closed:
            raise EngineFailed("the engine was closed")
        loop = asyncio.get_running_loop()
        if self._next is None or self._next.done():
            self._next = loop.create_future()
            # Steps fall on multiples of their length, so that pace does not drift with the work between them.
            loop.call_at((loop.time() // self._seconds + 1) * self._seconds, self._end, self._next)
        await asyncio.shield(self._next)

    def _end(self, step: "asyncio.Future[None]") -> None:
        if not step.done():
            step.set_result(None)

    def close(self) -> None:
        """No step follows the present one."""
        self._closed = True


def _prompt(body: dict[str, Any]) -> str:
    """The text of the last message."""
    content = body["messages"][-1].get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _most_tokens(body: dict[str, Any]) -> int | None:
    most: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    return most


async def _streamed(job: Job, spoken: Any, finish_reason: str, usage: Usage) -> Stream:
    yield Piece(payload=_chunk(job, [_choice({"role": "assistant", "content": ""}, None)]))
    async for word in spoken:
        yield Piece(
            payload=_chunk(job, [_choice({"content": word}, None)]), tokens=[zlib.crc32(word.encode()) & 0xFFFF]
        )
    yield Piece(payload=_chunk(job, [_choice({"content": ""}, finish_reason)]))
    options = job.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        yield Piece(payload=_chunk(job, [], usage=_usage(usage)))


async def _whole(job: Job, spoken: Any, finish_reason: str, usage: Usage) -> Stream:
    words = [word async for word in spoken]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(words)},
        "finish_reason": finish_reason,
        "logprobs": None,
    }
    body = _envelope(job, "chat.completion") | {"choices": [choice], "usage": _usage(usage)}
    yield Piece(payload=_json(body), tokens=[zlib.crc32(word.encode()) & 0xFFFF for word in words])


def _choice(delta: dict[str, str], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _chunk(job: Job, choices: list[dict[str, Any]], **more: Any) -> bytes:
    return _json(_envelope(job, "chat.completion.chunk") | {"choices": choices} | more)


def _envelope(job: Job, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{job.id}", "object": kind, "created": int(job.created), "model": job.model}


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _png(spec: ImageSpec) -> bytes:
    """A PNG in one colour, which depends on prompt and seed."""
    width, height, *_ = spec.shape
    colour = zlib.crc32(f"{spec.seed} {spec.prompt}".encode()).to_bytes(4, "big")[:3]
    rows = (b"\x00" + colour * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
