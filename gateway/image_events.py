"""OpenAI's server-sent events of an image job, and one of ours for each step. Hop 8.

`image_generation.progress` has `step` and `steps`; `image_generation.completed`, one for each image, is OpenAI's,
with the image's `seed`. There are no `image_generation.partial_image` events: nothing is decoded on the way.
"""

from typing import Any

from gateway import views
from gateway.api.errors import error_json
from gateway.views import ImageChunk, Picture
from shared.errors import RequestError
from shared.messages import Chunk


def events(chunks: list[Chunk], last: int | None = None) -> bytes:
    """As views.events. Of a chunk that makes several events, the last has the number: with it, all are there."""
    first = 0 if last is None else last - len(chunks) + 1
    images = enumerate(views.images(chunks), first)
    return b"".join(_events(image, number if first else 0) for number, image in images)


def failure(error: RequestError) -> bytes:
    return b"event: error\ndata: %b\n\n" % error_json(error)


def _events(image: ImageChunk, number: int) -> bytes:
    """Of one chunk; 0 stands for no number."""
    *others, end = map(views.event, _said(image))
    return b"".join([*others, b"id: %d\n" % number if number else b"", end])


def _said(image: ImageChunk) -> list[dict[str, Any]]:
    if image.data:
        return [_completed(image, picture) for picture in image.data]
    return [{"type": "image_generation.progress", "step": image.step, "steps": image.steps}]


def _completed(image: ImageChunk, picture: Picture) -> dict[str, Any]:
    steps = image.usage.get("image_steps", 0) // len(image.data)
    return {
        "type": "image_generation.completed",
        "b64_json": picture.b64_json,
        "seed": picture.seed,
        "created_at": image.created,
        "size": image.size,
        "quality": "auto",
        "background": "opaque",
        "output_format": "png",
        "usage": image.usage | {"image_steps": steps},
    }
