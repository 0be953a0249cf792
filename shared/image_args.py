"""Image models: what the catalogue says of one (`engine_args` of a diffusers entry), and what bounds a request."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MIN_SIZE = 64
"""Shortest edge in pixels: an eighth of it, the latents, is halved several times over in the UNet."""

MAX_GUIDANCE = 30
MAX_STEPS = 1000
MAX_IMAGES = 4
"""Of one request: all are in one message, where 1536 x 1536 pixels of noise take 9.4 MB in base64."""

MAX_PROMPT = 4000
"""Characters; what a text encoder does not read of it, is cut off there."""


class ImageArgs(BaseModel):
    """`steps`, `size` and `guidance_scale` are a request's defaults; `max_steps` and `max_size` bound it.

    `size` is "WIDTHxHEIGHT"; edges are in pixels. `batch` is how many equal requests are denoised together.
    `dtype` is for GPUs: a CPU computes in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    steps: int = Field(30, gt=0)
    max_steps: int = Field(50, gt=0, le=MAX_STEPS)
    size: str = "1024x1024"
    max_size: int = Field(1024, ge=MIN_SIZE)
    guidance_scale: float = Field(5.0, ge=0, le=MAX_GUIDANCE)
    batch: int = Field(1, gt=0)
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"

    @property
    def sizes(self) -> str:
        """What a request's size may be, in words."""
        return f"WIDTHxHEIGHT in pixels, each a multiple of 8 from {MIN_SIZE} to {self.max_size}"

    @field_validator("size")
    @classmethod
    def _is_size(cls, size: str) -> str:
        if edges(size) is None:
            raise ValueError(f"should be WIDTHxHEIGHT in pixels, multiples of 8 from {MIN_SIZE} on")
        return size

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        if self.steps > self.max_steps:
            raise ValueError(f"steps: should be at most max_steps ({self.max_steps}), got {self.steps}")
        if max(edges(self.size) or (0,)) > self.max_size:
            raise ValueError(f'size: should be at most max_size ({self.max_size}), got "{self.size}"')
        return self


def edges(size: str) -> tuple[int, int] | None:
    """Width and height, if this is a size: the VAE shrinks each by 8."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})[xX]([1-9][0-9]{0,4})", size)
    if not found:
        return None
    width, height = int(found[1]), int(found[2])
    fits = min(width, height) >= MIN_SIZE and width % 8 == height % 8 == 0
    return (width, height) if fits else None


SIMULATED = ImageArgs(max_steps=MAX_STEPS, size="64x64")
"""What bounds the images of a simulated entry, whose own arguments are about pace and faults."""
