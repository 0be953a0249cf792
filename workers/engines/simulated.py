"""A simulated engine: no model, but text, pace, capacity, start-up and faults as ordered. Hop 5.

It ships for trying out a cluster without GPUs and for measuring everything around the engine. The text depends
on the prompt alone. A prompt that begins with "echo " is answered with the rest of it, a word a token. Ids of
tokens, which a completion may have for a prompt, are words like any other. An image is of one colour, by prompt
and seed, and of the size that was asked for.

`engine_args`: tokens_per_second (of each stream), capacity (jobs at once), startup (seconds), length (tokens of
an answer that nothing else ends), steps (of an image, unless its request says), and faults, counted in tokens of a
job: fail_after (the engine raises), stall_after (the engine hangs), exit_after (the process dies as if killed).
"""

import asyncio
import os
import random
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from itertools import zip_longest
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.catalog import MOST_CONTEXT, Model
from shared.errors import ContextLengthExceeded, EngineFailed, SetupError
from shared.image_args import MAX_STEPS, SIMULATED
from shared.messages import Chunk, Job, Usage, prompts
from workers.engines import image_answer
from workers.engines.base import Done, Meter, Piece, Progress, Stream
from workers.engines.continuation import following
from workers.engines.image_request import ImageSpec, parse_request
from workers.engines.simulated_limits import check_simulated, until_stop
from workers.engines.simulated_payloads import Answer, Chats, Completions

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
    length: int = Field(64, gt=0, le=MOST_CONTEXT)
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
        bounds = model.image_args
        steps = min(self._args.steps, bounds.max_steps)
        self._image_args = bounds.model_copy(update={"steps": steps, "size": SIMULATED.size})
        self._slots = asyncio.Semaphore(self._args.capacity)
        self._steps = Steps(1 / self._args.tokens_per_second)
        self._hung = False

    @property
    def capacity(self) -> int:
        return self._args.capacity

    async def load(self, progress: Progress) -> None:
        parts = 10 if self._args.startup else 1
        for part in range(parts):
            progress(part / parts, "simulating start-up")
            await asyncio.sleep(self._args.startup / parts)
        progress(1.0, "ready")

    def generate(self, job: Job, recorded: Sequence[Chunk] = (), meter: Meter | None = None) -> Stream:
        meter = meter or Meter()
        if job.kind == "image":
            return self._images(job, meter)
        known = sum(len(chunk.tokens) for chunk in recorded)
        return following(self._text(job, known, meter), recorded)

    async def ping(self) -> None:
        if self._hung:
            await asyncio.Event().wait()

    async def close(self) -> None:
        self._steps.close()

    async def _text(self, job: Job, known: int, meter: Meter) -> Stream:
        check_simulated(job.body)
        asked = _asked(job)
        for prompt in asked:
            self._check_length(job, prompt)
        answers = [self._answer(job.body, prompt) for prompt in asked for _ in range(job.body.get("n") or 1)]
        usage = Usage(
            prompt_tokens=sum(map(_length, asked)),
            completion_tokens=sum(len(answer.words) for answer in answers),
        )
        payloads = (Chats if job.kind == "chat" else Completions)(job, answers)
        told = _streamed if job.body.get("stream") else _whole
        async with self._slots:
            spoken = _counted(self._spoken(answers, known), usage.prompt_tokens, meter)
            async for piece in told(payloads, spoken, usage):
                yield piece
        yield Done(finish_reason=answers[-1].finish_reason, usage=usage)

    def _check_length(self, job: Job, prompt: str) -> None:
        if 0 < self._model.context <= _length(prompt):
            if job.kind == "chat":
                raise ContextLengthExceeded(param="messages")
            raise ContextLengthExceeded("The prompt is longer than the model's context.", param="prompt")

    def _answer(self, body: dict[str, Any], prompt: str) -> Answer:
        """All words of an answer, and why it ends."""
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        if prompt.startswith("echo "):
            said = prompt[5:].split(" ")
            length = len(said)
        else:
            length = self._args.length
            # The first of many choices are those of few: no more are made than are asked for.
            said = random.Random(prompt).choices(WORDS, k=length if most is None else min(length, most))
        words = [word if n == 0 else f" {word}" for n, word in enumerate(said[:most])]
        finish_reason = "length" if most is not None and most < length else "stop"
        words, stop = until_stop(words, body.get("stop") or [])
        if body.get("echo"):
            # As vLLM has it: the echo comes with a first token, even if none is asked for.
            words = [prompt + "".join(words[:1]), *words[1:]]
        return Answer(words, "stop" if stop else finish_reason, stop, _length(prompt))

    async def _spoken(self, answers: Sequence[Answer], known: int) -> AsyncIterator[tuple[int, str]]:
        """A word of each answer a step, with its answer's place; those that are known take no time."""
        number = 0
        for step in zip_longest(*(answer.words for answer in answers)):
            said = [(place, word) for place, word in enumerate(step) if word is not None]
            if number + len(said) > known:
                await self._faults(range(max(number, known), number + len(said)))
                await self._steps.next()
            number += len(said)
            for place, word in said:
                yield place, word

    async def _faults(self, tokens: range) -> None:
        """What is ordered to go wrong before one of these tokens of a job."""
        if self._args.fail_after in tokens:
            raise EngineFailed("simulated failure")
        if self._args.stall_after in tokens:
            self._hung = True
            await asyncio.Event().wait()
        if self._args.exit_after in tokens:
            os._exit(137)

    async def _images(self, job: Job, meter: Meter) -> Stream:
        specs = parse_request(job, self._image_args)
        steps, step = specs[0].shape.steps, 0
        meter.read = lambda: Usage(image_steps=step * len(specs))
        async with self._slots:
            for step in range(1, steps + 1):
                await self._steps.next()
                yield Piece(payload=image_answer.progress(job, step, steps))
            yield Piece(payload=image_answer.result(job, specs, [_png(spec) for spec in specs]))
        yield Done(finish_reason="stop", usage=image_answer.usage(specs))


class Steps:
    """The engine's step: one token for every stream at the same moment, as batching engines give it.

    Steps are counted from the first on: two engines do not step together.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: list[asyncio.Future[None]] = []
        self._start: float | None = None  # the loop's time at which steps are counted from
        self._last = 0.0  # the number of the step that was waited for last
        self._closed = False

    async def next(self) -> None:
        if self._closed:
            raise EngineFailed("the engine was closed")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            if self._start is None:
                self._start = loop.time()
            # Steps fall on multiples of their length, so that pace does not drift with the work between them. A
            # timer may be early, by what its clock does not show.
            self._last = max((loop.time() - self._start) // self._seconds, self._last) + 1
            loop.call_at(self._start + self._last * self._seconds, self._end)
        step = loop.create_future()
        self._waiting.append(step)
        await step

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for step in waiting:
            if not step.done():
                step.set_result(None)

    def close(self) -> None:
        """No step follows the present one."""
        self._closed = True


def _asked(job: Job) -> list[str]:
    """The text of a chat's last message, or the prompts of a completion."""
    if job.kind == "chat":
        content = job.body["messages"][-1].get("content") or ""
        return [content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)]
    return [
        prompt if isinstance(prompt, str) else " ".join(map(str, prompt)) for prompt in prompts(job.body["prompt"])
    ]


async def _counted(
    spoken: AsyncIterator[tuple[int, str]], prompt_tokens: int, meter: Meter
) -> AsyncIterator[tuple[int, str]]:
    """The same, with every word on the meter."""
    said = 0
    meter.read = lambda: Usage(prompt_tokens=prompt_tokens, completion_tokens=said)
    async for word in spoken:
        said += 1
        yield word


async def _streamed(
    payloads: Completions, spoken: AsyncIterator[tuple[int, str]], usage: Usage
) -> AsyncIterator[Piece]:
    openings = [Piece(payload=opening) for opening in payloads.opening()]
    async for place, word in spoken:
        while openings:  # with the first word, as vLLM has it
            yield openings.pop(0)
        yield Piece(payload=payloads.piece(place, word), tokens=[_token(word)])
    for opening in openings:
        yield opening
    for ending in payloads.ends():
        yield Piece(payload=ending)
    if payloads.counted:
        yield Piece(payload=payloads.counts(usage))


async def _whole(
    payloads: Completions, spoken: AsyncIterator[tuple[int, str]], usage: Usage
) -> AsyncIterator[Piece]:
    tokens = [_token(word) async for _, word in spoken]
    yield Piece(payload=payloads.all(usage), tokens=tokens)


def _length(prompt: str) -> int:
    """In tokens."""
    return len(prompt.split())


def _token(word: str) -> int:
    return zlib.crc32(word.encode()) & 0xFFFF


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
