"""Hop 5: what an engine is. vLLM, diffusers and the simulated engine pass the same contract tests.

An engine runs the jobs of one model. All its methods are called on one asyncio loop, which it must never
block for longer than a model's step; heavy work goes to another process or to a thread.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.errors import EngineFailed
from shared.messages import Chunk, Job, Usage

Progress = Callable[[float, str], None]
"""Called while an engine loads, with the share done (0 to 1) and what is being done; from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of the answer: an OpenAI chunk as JSON, and the ids of the tokens it was made from."""

    payload: bytes
    tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The last thing an engine yields for a job: why it ended ("stop", "length") and what it took."""

    finish_reason: str
    usage: Usage


class Meter:
    """What a job has used so far, whatever becomes of it: the engine says how to `read` it."""

    def __init__(self) -> None:
        self.read: Callable[[], Usage] = Usage


Stream = AsyncGenerator[Piece | Done, None]


class Engine(Protocol):
    """An engine for one model."""

    @property
    def capacity(self) -> int:
        """How many jobs it takes at once; known before `load`."""

    async def load(self, progress: Progress) -> None:
        """Bring the model into memory. Called once, before `generate`. Raises SetupError if it cannot."""

    def generate(self, job: Job, recorded: Sequence[Chunk] = (), meter: Meter | None = None) -> Stream:
        """Run a job: pieces, then one Done. What another attempt has `recorded` is taken as said: only what
        follows is yielded, and the usage is that of the whole answer. Raises Interrupted if that cannot be done.
        The `meter` tells until then, and ever after, what has been used.

        Closing the stream, or cancelling the task that reads it, frees the engine's slot at once (images: at
        the next step). Raises InvalidRequest for a request the model cannot take, EngineFailed otherwise.
        """

    async def ping(self) -> None:
        """Return as soon as the engine answers: one that hangs never does. Raises EngineDied if it is gone."""

    async def close(self) -> None:
        """Free everything. Streams still open end with an error."""


class EngineDied(EngineFailed):
    """The engine is gone for good: its worker must end, so that a new one takes its place."""

    code = "engine_died"
