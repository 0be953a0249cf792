"""Image requests: the one place where a job's body is checked against the model's engine_args."""

import hashlib
import reprlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.errors import InvalidRequest
from shared.image_args import MAX_GUIDANCE, MAX_IMAGES, MAX_PROMPT, ImageArgs, edges
from shared.messages import Job

MAX_SEED = 2**63 - 1


class Shape(NamedTuple):
    """What images must have in common to be denoised together. Edges are in pixels."""

    width: int
    height: int
    steps: int
    guidance_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """One image to make."""

    prompt: str
    negative_prompt: str | None
    seed: int
    shape: Shape


def parse_request(job: Job, args: ImageArgs) -> list[ImageSpec]:
    """The images that the job's body asks for, of one shape. Raises InvalidRequest naming the field.

    Their seeds are consecutive. Without a seed, the first is taken from the job's id, so that a job which is
    run again, because its worker died, makes the same images.
    """
    body = job.body
    shape = Shape(*_size(body, args), _steps(body, args), _guidance(body, args))
    prompt, negative_prompt = _prompt(body), _text(body, "negative_prompt") or None
    seed = _integer(body, "seed", _seed_of(job.id), 0, MAX_SEED)
    return [
        ImageSpec(prompt=prompt, negative_prompt=negative_prompt, seed=(seed + n) % (MAX_SEED + 1), shape=shape)
        for n in range(_integer(body, "n", 1, 1, MAX_IMAGES))
    ]


def _prompt(body: dict[str, Any]) -> str:
    prompt = _text(body, "prompt")
    if not prompt.strip():
        raise InvalidRequest("prompt: is missing or empty; say what the image should show", param="prompt")
    return prompt


def _text(body: dict[str, Any], name: str) -> str:
    text = _value(body, name, "")
    if not isinstance(text, str):
        raise _wrong(name, f"a text of at most {MAX_PROMPT} characters", reprlib.repr(text))
    if len(text) > MAX_PROMPT:
        raise _wrong(name, f"a text of at most {MAX_PROMPT} characters", f"{len(text)} characters")
    return text


def _size(body: dict[str, Any], args: ImageArgs) -> tuple[int, int]:
    """Width and height."""
    size = _value(body, "size", args.size)
    found = edges(size) if isinstance(size, str) else None
    if found is None or max(found) > args.max_size:
        raise _wrong("size", args.sizes, reprlib.repr(size))
    return found


def _steps(body: dict[str, Any], args: ImageArgs) -> int:
    return _integer(body, "steps", args.steps, 1, args.max_steps)


def _guidance(body: dict[str, Any], args: ImageArgs) -> float:
    value = _value(body, "guidance_scale", args.guidance_scale)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_GUIDANCE:
        raise _wrong("guidance_scale", f"a number from 0 to {MAX_GUIDANCE}", reprlib.repr(value))
    return float(value)


def _integer(body: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = _value(body, name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(name, f"a whole number from {low} to {high}", reprlib.repr(value))
    return value


def _value(body: dict[str, Any], name: str, default: Any) -> Any:
    """A field; its default if it is missing or null."""
    value = body.get(name)
    return default if value is None else value


def _wrong(name: str, takes: str, got: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: should be {takes}, got {got}", param=name)


def _seed_of(job_id: str) -> int:
    """A seed of 32 bits: short enough to be noted down, and exact in JavaScript."""
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:4], "big")
