"""What an image engine says: steps of progress, and then the images, in the shape of OpenAI's ImagesResponse."""

import base64
import time
from collections.abc import Sequence

import msgspec

from shared.messages import Job, Usage
from workers.engines.image_request import ImageSpec


def usage(specs: Sequence[ImageSpec]) -> Usage:
    """What images cost: their denoising steps."""
    return Usage(image_steps=sum(spec.shape.steps for spec in specs), images=len(specs))


def progress(job: Job, step: int, steps: int) -> bytes:
    return msgspec.json.encode({"object": "image.progress", "id": job.id, "step": step, "steps": steps})


def result(job: Job, specs: Sequence[ImageSpec], pngs: Sequence[bytes]) -> bytes:
    """The images of a job, in the order of its seeds, and all of one size."""
    shape = specs[0].shape
    return msgspec.json.encode(
        {
            "object": "image.result",
            "id": job.id,
            "created": int(time.time()),
            "background": "opaque",
            "output_format": "png",
            "size": f"{shape.width}x{shape.height}",
            "data": [
                {"b64_json": base64.b64encode(png).decode(), "seed": spec.seed}
                for spec, png in zip(specs, pngs, strict=True)
            ],
            # No tokens are read or made: OpenAI's clients look for them all the same.
            "usage": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "total_tokens": 0,
                "image_steps": usage(specs).image_steps,
            },
        }
    )
