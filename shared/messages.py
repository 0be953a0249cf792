"""What crosses a process boundary: the wire contract between gateway, queue and workers.

All are frozen msgspec structs. A job travels as one JSON object in a Celery message. Chunks travel as JSON
arrays, so that a payload (itself JSON, made by the worker) is embedded as it stands and lifted out as raw
bytes by the gateway, without being parsed on the way.
"""

import uuid
from typing import Any, Literal

import msgspec

Kind = Literal["chat", "completion", "image"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
EndState = Literal["succeeded", "failed", "cancelled"]

NO_PAYLOAD = msgspec.Raw(b"null")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A request admitted to a model's queue.

    `body` is OpenAI-shaped: a chat completion request for kind "chat", a completion request for kind "completion",
    an image generation request for kind "image". `reply_to` is the id of the gateway that relays the answer. Times
    are Unix seconds. `request` is the request's id, for logs, and `trace` the span that it belongs to, as a W3C
    traceparent; "" if there is none.
    """

    id: str
    model: str
    kind: Kind
    body: dict[str, Any]
    account: str
    tier: str
    reply_to: str
    created: float
    deadline: float
    request: str = ""
    trace: str = ""

    def encode(self) -> str:
        return msgspec.json.encode(self).decode()

    @staticmethod
    def decode(data: str | bytes) -> "Job":
        return _JOB.decode(data)


def new_job_id() -> str:
    return f"job_{uuid.uuid4().hex}"


def prompts(prompt: Any) -> list[str | list[int]]:
    """The prompts that a completion request has in its `prompt`: texts, and lists of the ids of tokens."""
    several = isinstance(prompt, list) and not isinstance(prompt[0], int)
    return prompt if several else [prompt]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was given up, and why; `died` is a Unix time in seconds."""

    job: Job
    reason: str
    died: float

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @staticmethod
    def decode(data: bytes) -> "DeadLetter":
        return _LETTER.decode(data)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a job consumed: tokens for language models, denoising steps of all its images for image models."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    image_steps: int = 0
    images: int = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job or request failed, in the words its client gets. `status` is an HTTP status."""

    status: int
    code: str
    message: str
    param: str | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: the header of its log's last chunk."""

    state: EndState
    finish_reason: str | None = None
    usage: Usage = Usage()
    failure: Failure | None = None


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One numbered piece of a job's log. Its number is its place in the log, counted from 1.

    `tokens` are the ids of the model's tokens this piece stands for; `payload` is an OpenAI chunk as JSON
    (`null` in the last chunk, which has an `end` instead).
    """

    attempt: int
    tokens: list[int]
    payload: msgspec.Raw = NO_PAYLOAD
    end: End | None = None

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @staticmethod
    def decode(data: bytes) -> "Chunk":
        return _CHUNK.decode(data)


def ending(state: EndState, failure: Failure) -> bytes:
    """The only chunk of a job that ends before any attempt, encoded."""
    return Chunk(0, [], end=End(state=state, failure=failure)).encode()


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Consecutive chunks of one job, as published to its gateway; `first` is the first one's number."""

    job: str
    first: int
    chunks: list[Chunk]


def decode_frames(message: bytes) -> list[Frame]:
    """One pub/sub message (a frame a line, many jobs) → its frames."""
    return _FRAME.decode_lines(message)


_LETTER = msgspec.json.Decoder(DeadLetter)
_JOB = msgspec.json.Decoder(Job)
_CHUNK = msgspec.json.Decoder(Chunk)
_FRAME = msgspec.json.Decoder(Frame)
