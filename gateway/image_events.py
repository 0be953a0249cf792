"""OpenAI's server-sent events of an image job, and one of ours for each step. Hop 8.

`image_generation.progress` has `step` and `steps`; `image_generation.completed`, one for each image, is OpenAI's,
with the image's `seed`. There are no `image_generation.partial_image` events: nothing is decoded on the way. Who
asks for none, with `partial_images` 0, gets no progress either.
"""

from collections.abc import Iterator
from typing import Any

from gateway import views
from gateway.api.errors import error_json
from gateway.views import ImageChunk, Picture
from shared.errors import RequestError
from shared.messages import Chunk


def events(chunks: list[Chunk], last: int | None = None) -> bytes:
    """As views.events. Of a chunk that makes several events, the last has the number: with it, all are there."""
    return b"".join(_events(image, number) for image, number in _numbered(chunks, last))


def results(chunks: list[Chunk], last: int | None = None) -> bytes:
    """The same, with steps as comments: they keep proxies from giving up, and no client sees them."""
    return b"".join(
        _events(image, number) if image.data else b": step %d of %d\n\n" % (image.step, image.steps)
        for image, number in _numbered(chunks, last)
    )


def failure(error: RequestError) -> bytes:
    return b"event: error\ndata: %b\n\n" % error_json(error)


def _numbered(chunks: list[Chunk], last: int | None) -> Iterator[tuple[ImageChunk, int]]:
    first = 0 if last is None else last - len(chunks) + 1
    for number, image in enumerate(views.images(chunks), first):
        yield image, number if first else 0


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
