"""What an image model takes: the seed's `prompt`, and POST /v1/images/generations with OpenAI's fields.

Of OpenAI's, taken and dropped, because nothing depends on them here: `WITHOUT_EFFECT`. `stream` and
`partial_images` are about the answer and not about the image: two requests that differ in them are the same job.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from gateway.bodies.objects import MOST_INTEGER
from gateway.bodies.shapes import Body, fit, refusal
from shared.catalog import Model
from shared.image_args import MAX_GUIDANCE, MAX_IMAGES, MAX_PROMPT, MAX_STEPS, MIN_SIZE, edges

Prompt = Annotated[str, Field(max_length=MAX_PROMPT)]


def _says_something(prompt: str) -> str:
    if not prompt.strip():
        raise PydanticCustomError("blank", "should say what the image is to show, got nothing but spaces")
    return prompt


def _is_size(size: str) -> str:
    if size != "auto" and edges(size) is None:
        takes = f"should be 'auto', or WIDTHxHEIGHT in pixels, each a multiple of 8 from {MIN_SIZE} on"
        raise PydanticCustomError("size", takes)
    return size


Size = Annotated[
    str,
    AfterValidator(_is_size),
    Field(
        description=f"WIDTHxHEIGHT in pixels, each a multiple of 8 from {MIN_SIZE} on",
        json_schema_extra={"pattern": "^(auto|[1-9][0-9]{1,4}[xX][1-9][0-9]{1,4})$"},
    ),
]


class Image(Body):
    """Body of POST /v1/free/{model}, or a Socket.IO `prompt`, for an image model."""

    prompt: Annotated[Prompt, AfterValidator(_says_something)] = Field(min_length=1)
    negative_prompt: Prompt | None = None
    size: Size | None = None
    seed: int | None = Field(None, ge=0, le=MOST_INTEGER)
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    guidance_scale: float | None = Field(None, ge=0, le=MAX_GUIDANCE)


class ImageRequest(Image):
    """An image generation request of OpenAI's, with what a diffusion model has besides."""

    refused: ClassVar = {
        "image": "is not offered: images are made from a text alone",
        "mask": "is not offered: images are made from a text alone",
        "input_fidelity": "is not offered: images are made from a text alone",
        "messages": "is not a field of images; send `prompt`",
        "num_inference_steps": "is not offered; send `steps`",
        "svg": "is not offered: images are PNG files",
        "frame_count": "is not offered: images are PNG files",
        "frame_duration_ms": "is not offered: images are PNG files",
    }

    model: str | None = None
    n: int | None = Field(None, ge=1, le=MAX_IMAGES)
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=3)
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    output_compression: Literal[100] | None = None
    background: Literal["auto", "opaque"] | None = None

    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = None
    complexity: Literal["low", "medium", "high"] | None = None
    style: Literal["vivid", "natural"] | None = None
    moderation: Literal["auto", "low"] | None = None
    user: str | None = None
    safety_identifier: str | None = None


PARTS = frozenset("prompt negative_prompt n size seed steps guidance_scale".split())
"""Of a request, what the engine is told."""

WITHOUT_EFFECT = ImageRequest.model_fields.keys() - PARTS - {"model", "stream", "partial_images"}


def image_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """The seed's dialects → an image generation request. Raises InvalidRequest."""
    return _parts(model, fit(Image, data))


def openai_image_body(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """An image generation request as OpenAI has it. Raises InvalidRequest for what no engine should see."""
    if model.kind != "image":
        raise refusal("model", f"'{model.id}' chats, it does not make images")
    request = fit(ImageRequest, data)
    parts = _parts(model, request)
    if request.partial_images and not request.stream:
        raise refusal("partial_images", "needs `stream`: true")
    return parts


def _parts(model: Model, request: Image) -> dict[str, Any]:
    _within(model, request)
    given = request.plain().items()
    return {name: value for name, value in given if name in PARTS and (name, value) != ("size", "auto")}


def _within(model: Model, request: Image) -> None:
    """Refuse what the catalogue does not allow this model."""
    args = model.image_args
    if request.steps is not None and request.steps > args.max_steps:
        raise refusal("steps", f"should be an integer from 1 to {args.max_steps}, got {request.steps}")
    size = edges(request.size or "")
    if size is not None and max(size) > args.max_size:
        raise refusal("size", f"should be {args.sizes}, got '{request.size}'")
