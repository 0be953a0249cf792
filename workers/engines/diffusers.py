"""diffusers: SDXL images. One thread runs the pipeline; images alike are denoised together.

The path of a request: `parse_request` checks it; it becomes one `_Image` for each picture it asks for, each with a
seed of its own; `_serve` takes up to `batch` waiting images of the same size, steps and guidance, oldest first, and
has the thread denoise them. Images that come while a batch runs wait for the next one. Measurements and what a
batch changes: docs/decisions/0006-images.md.
"""

import asyncio
import base64
import contextlib
import hashlib
import io
import logging
import os
import re
import reprlib
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.catalog import Model
from shared.errors import EngineFailed, InvalidRequest, SetupError
from shared.messages import Job, Usage
from workers.engines.base import Done, EngineDied, Piece, Progress, Stream
from workers.weights import locate

log = logging.getLogger(__name__)

MIN_SIZE = 64
"""Shortest edge in pixels: the UNet halves a picture's latents, an eighth of its size, twice or more."""

MAX_IMAGES = 4
MAX_SEED = 2**63 - 1
MAX_GUIDANCE = 30
MAX_PROMPT = 4000

STALL_SECONDS = 300.0
"""A denoising step, or the decoding after the last, that takes longer than this will never end."""

CLOSE_SECONDS = 10.0
"""How long `close` waits for the step that is being computed."""


class DiffusersArgs(BaseModel):
    """Engine arguments of a diffusers entry. Edges are in pixels; `batch` is in images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(30, ge=1)
    max_steps: int = Field(50, ge=1, le=1000)
    size: str = "1024x1024"
    max_size: int = Field(1024, ge=MIN_SIZE)
    guidance_scale: float = Field(5.0, ge=0, le=MAX_GUIDANCE)
    batch: int = Field(1, ge=1)
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    variant: str | None = None


class Shape(NamedTuple):
    """What images must have in common to be denoised together."""

    width: int
    height: int
    steps: int
    guidance_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """A checked request: one image for each seed."""

    prompt: str
    negative_prompt: str | None
    shape: Shape
    seeds: list[int]


class DiffusersEngine:
    """StableDiffusionXLPipeline for one model."""

    def __init__(self, model: Model, data_dir: Path) -> None:
        """Raises SetupError if the catalogue's engine_args are wrong."""
        self._model = model
        self._data_dir = data_dir
        self._args = parse_args(model)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diffusers")
        self._pipeline: Any = None
        self._server: asyncio.Task[None] | None = None
        # One entry for each open stream or its images: as long as the number of jobs the worker takes.
        self._open: list[_Run] = []
        self._waiting: list[_Image] = []
        self._arrived = asyncio.Event()
        self._fatal: EngineFailed | None = EngineFailed("the engine has not been loaded")

    @property
    def capacity(self) -> int:
        """One batch that runs and one that waits."""
        return 2 * self._args.batch

    async def load(self, progress: Progress) -> None:
        loop = asyncio.get_running_loop()
        self._pipeline = await loop.run_in_executor(
            self._thread, load_pipeline, self._model, self._args, self._data_dir, progress
        )
        self._fatal = None
        self._server = asyncio.create_task(self._serve())

    async def generate(self, job: Job) -> Stream:
        request = parse_request(job, self._args)
        run = self._enter(request)
        try:
            async for step in run.steps():
                yield Piece(payload=_progress_chunk(job, step, request))
            # Packing takes up to a second of CPU: beside the next batch, not before it.
            payload = await asyncio.to_thread(_result_chunk, job, run.pictures, request)
            yield Piece(payload=payload)
            usage = Usage(image_steps=request.shape.steps * len(request.seeds))
            yield Done(finish_reason="stop", usage=usage)
        finally:
            self._leave(run)

    async def close(self) -> None:
        self._fail_all(EngineFailed("the engine was closed"))
        self._arrived.set()
        idle = False
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._server
                idle = True
        # A thread that is stuck in a step cannot be waited for: the process has to end.
        self._thread.shutdown(wait=idle, cancel_futures=True)
        self._pipeline = None

    def _enter(self, request: ImageRequest) -> "_Run":
        if self._fatal is not None:
            raise self._fatal
        run = _Run(request)
        self._open.append(run)
        self._waiting += run.images
        self._arrived.set()
        return run

    def _leave(self, run: "_Run") -> None:
        run.wanted = False
        if run in self._open:
            self._open.remove(run)
        self._waiting = [image for image in self._waiting if image.run is not run]

    def _fail_all(self, error: EngineFailed) -> None:
        """End every stream with this error, and take no more."""
        self._fatal = error
        for run in self._open:
            run.fail(error)
        self._waiting.clear()

    async def _serve(self) -> None:
        """Run batches until the engine fails for good or is closed."""
        while self._fatal is None:
            if batch := self._next_batch():
                await self._run(batch)
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _next_batch(self) -> list["_Image"]:
        """The image that has waited longest, and those that can be denoised with it."""
        if not self._waiting:
            return []
        shape = self._waiting[0].shape
        batch = [image for image in self._waiting if image.shape == shape][: self._args.batch]
        self._waiting = [image for image in self._waiting if image not in batch]
        return batch

    async def _run(self, batch: list["_Image"]) -> None:
        """Denoise a batch in the thread, and tell its requests of every step and of the end."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STALL_SECONDS) as patience:

                def stepped(step: int) -> None:
                    patience.reschedule(loop.time() + STALL_SECONDS)
                    for image in batch:
                        image.advance(step)

                def tell(step: int) -> None:
                    loop.call_soon_threadsafe(stepped, step)

                pictures = await loop.run_in_executor(self._thread, denoise, self._pipeline, batch, tell)
        except _Unwanted:
            return
        except TimeoutError:
            self._fail_all(EngineDied(f"the image engine made no step for {STALL_SECONDS:.0f} s"))
        except Exception as error:
            log.exception("%s: a batch of %d failed", self._model.id, len(batch))
            self._blame(batch, error)
        else:
            for image, picture in zip(batch, pictures, strict=True):
                image.finish(picture)

    def _blame(self, batch: list["_Image"], error: Exception) -> None:
        """A batch's failure is its requests' failure, and the engine's if the device is lost with it."""
        told = f"the image engine failed: {type(error).__name__}"
        if _device_lost(error):
            self._fail_all(EngineDied(told))
        for image in batch:
            image.run.fail(EngineFailed(told))


class _Run:
    """A request in the engine. Only the engine's loop changes it; the thread reads `wanted`."""

    def __init__(self, request: ImageRequest) -> None:
        self.images = [_Image(self, request, seed) for seed in request.seeds]
        self.wanted = True
        self._failure: EngineFailed | None = None
        self._changed = asyncio.Event()

    @property
    def pictures(self) -> list[Any]:
        """The finished images as Pillow's."""
        return [image.picture for image in self.images if image.picture is not None]

    async def steps(self) -> AsyncGenerator[int, None]:
        """1, 2, 3 … as the average image advances; ends with the last image. Raises the run's failure."""
        told = 0
        while len(self.pictures) < len(self.images):
            await self._changed.wait()
            self._changed.clear()
            if self._failure is not None:
                raise self._failure
            while told < sum(image.step for image in self.images) // len(self.images):
                told += 1
                yield told

    def fail(self, error: EngineFailed) -> None:
        """End the stream with this error, unless it has one already."""
        self._failure = self._failure or error
        self.wanted = False
        self.changed()

    def changed(self) -> None:
        self._changed.set()


class _Image:
    """One image of a request, from its seed to its picture."""

    def __init__(self, run: _Run, request: ImageRequest, seed: int) -> None:
        self.run = run
        self.prompt = request.prompt
        self.negative_prompt = request.negative_prompt
        self.shape = request.shape
        self.seed = seed
        self.step = 0
        self.picture: Any = None

    def advance(self, step: int) -> None:
        self.step = step
        self.run.changed()

    def finish(self, picture: Any) -> None:
        self.picture = picture
        self.run.changed()


class _Unwanted(Exception):
    """Nobody waits for any image of the batch any more."""


def denoise(pipeline: Any, batch: list[_Image], tell: Callable[[int], None]) -> list[Any]:
    """A batch's pictures, as Pillow images in its order. Blocks; calls `tell` after each step.

    An image that nobody waits for any more is computed on with the others. Raises _Unwanted at the next step
    when none is waited for.
    """
    import torch

    def stepped(_pipeline: Any, index: int, _timestep: Any, _tensors: Any) -> dict[str, Any]:
        # Leaving by an exception saves decoding the picture, too, which pipeline._interrupt would not.
        if not any(image.run.wanted for image in batch):
            raise _Unwanted
        tell(index + 1)
        return {}

    if not any(image.run.wanted for image in batch):
        raise _Unwanted
    shape = batch[0].shape
    pictures: list[Any] = pipeline(
        **_embed(pipeline, batch),
        width=shape.width,
        height=shape.height,
        num_inference_steps=shape.steps,
        guidance_scale=shape.guidance_scale,
        # Each image draws its noise from its own seed, and on the CPU: the same on every device, in any batch.
        generator=[torch.Generator().manual_seed(image.seed) for image in batch],
        callback_on_step_end=stepped,
    ).images
    return pictures


def _embed(pipeline: Any, batch: list[_Image]) -> dict[str, Any]:
    """The batch's prompts as the pipeline's embedding arguments, of shape (images, …).

    Each prompt is encoded alone, as a request alone has it: SDXL treats no negative prompt otherwise than an
    empty one, and one call takes either for all of its prompts.
    """
    import torch

    guided = batch[0].shape.guidance_scale > 1
    names = ["prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
    with torch.no_grad():
        encoded = [
            pipeline.encode_prompt(
                prompt=image.prompt, negative_prompt=image.negative_prompt, do_classifier_free_guidance=guided
            )
            for image in batch
        ]
    columns = dict(zip(names, zip(*encoded, strict=True), strict=True))
    return {name: torch.cat(column) for name, column in columns.items() if column[0] is not None}


def load_pipeline(model: Model, args: DiffusersArgs, data_dir: Path, progress: Progress) -> Any:
    """The pipeline in memory, on the GPU if there is one. Blocks. Raises SetupError.

    Downloads nothing unless the catalogue's `weights` is a hub id.
    """
    weights = locate(model, data_dir, lambda share, detail: progress(share * 0.4, detail))
    progress(0.4, "starting diffusers")
    try:
        import torch
        from diffusers import StableDiffusionXLPipeline
    except ImportError as error:
        fix = "Install what workers need: pip install 'crofai[worker]'"
        raise SetupError(f"{model.id} needs diffusers, which cannot be imported: {error}. {fix}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _limit_threads(device)
    progress(0.6, f"reading {weights}")
    try:
        pipeline = StableDiffusionXLPipeline.from_pretrained(
            weights,
            torch_dtype=getattr(torch, args.dtype or ("float16" if device == "cuda" else "float32")),
            variant=args.variant,
            local_files_only=Path(weights).exists(),
            use_safetensors=True,  # other files may carry code
            add_watermarker=False,  # it depends on a library that may or may not be there
        )
        progress(0.9, f"moving it to the {device}")
        pipeline.to(device)
    except Exception as error:  # torch, diffusers, transformers and safetensors have no common error
        raise SetupError(f"{model.id}: cannot load {weights}: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    # One picture at a time in the decoder: it needs several GB for each.
    pipeline.vae.enable_slicing()
    progress(1.0, "ready")
    return pipeline


def _limit_threads(device: str) -> None:
    """One CPU thread, unless OMP_NUM_THREADS says otherwise (torch reads it itself).

    torch would take every core, and so starve the gateway and the other models of a small machine.
    """
    import torch

    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def _device_lost(error: Exception) -> bool:
    """Whether the error is the accelerator's own: its context is of no more use, unlike after a lack of memory."""
    import torch

    return isinstance(error, torch.AcceleratorError)


def parse_args(model: Model) -> DiffusersArgs:
    """The catalogue's engine_args. Raises SetupError naming the model and the argument."""
    try:
        args = DiffusersArgs(**model.engine_args)
        _size(args.size, args)
    except ValidationError as error:
        first = error.errors()[0]
        raise SetupError(f"{model.id}: engine_args.{first['loc'][0]}: {first['msg']}") from None
    except InvalidRequest as error:
        raise SetupError(f"{model.id}: engine_args.{error}") from None
    if args.steps > args.max_steps:
        raise SetupError(f"{model.id}: engine_args.steps: {args.steps} is more than max_steps, {args.max_steps}")
    return args


def parse_request(job: Job, args: DiffusersArgs) -> ImageRequest:
    """The job's body, checked, with the model's defaults filled in. Raises InvalidRequest naming the field.

    The images of a request have consecutive seeds. A request without a seed gets one from its job's id, so
    that a job which is run again, because its worker died, makes the same images.
    """
    body = job.body
    width, height = _size(_value(body, "size", args.size), args)
    steps = _integer(body, "steps", args.steps, 1, args.max_steps)
    images = _integer(body, "n", 1, 1, MAX_IMAGES)
    seed = _integer(body, "seed", _seed_of(job.id), 0, MAX_SEED)
    return ImageRequest(
        prompt=_prompt(body),
        negative_prompt=_text(body, "negative_prompt", "") or None,
        shape=Shape(width, height, steps, _guidance(body, args)),
        seeds=[(seed + n) % (MAX_SEED + 1) for n in range(images)],
    )


def _value(body: dict[str, Any], name: str, default: Any) -> Any:
    """A field; its default if it is missing or null."""
    value = body.get(name)
    return default if value is None else value


def _prompt(body: dict[str, Any]) -> str:
    prompt = _text(body, "prompt", "")
    if not prompt.strip():
        raise InvalidRequest("prompt: is missing or empty; say what the image should show", param="prompt")
    return prompt


def _text(body: dict[str, Any], name: str, default: str) -> str:
    text = _value(body, name, default)
    if not isinstance(text, str) or len(text) > MAX_PROMPT:
        got = f"{len(text)} characters" if isinstance(text, str) else reprlib.repr(text)
        raise InvalidRequest(f"{name}: should be a text of at most {MAX_PROMPT} characters, got {got}", param=name)
    return text


def _integer(body: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = _value(body, name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        got = reprlib.repr(value)
        raise InvalidRequest(f"{name}: should be a whole number from {low} to {high}, got {got}", param=name)
    return value


def _guidance(body: dict[str, Any], args: DiffusersArgs) -> float:
    name = "guidance_scale"
    value = _value(body, name, args.guidance_scale)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_GUIDANCE:
        got = reprlib.repr(value)
        raise InvalidRequest(f"{name}: should be a number from 0 to {MAX_GUIDANCE}, got {got}", param=name)
    return float(value)


def _size(size: Any, args: DiffusersArgs) -> tuple[int, int]:
    """ "WxH" as width and height in pixels."""
    edges = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", size) if isinstance(size, str) else None
    width, height = (int(edge) for edge in edges.groups()) if edges else (0, 0)
    if not all(edge % 8 == 0 and MIN_SIZE <= edge <= args.max_size for edge in (width, height)):
        takes = f"WIDTHxHEIGHT, each a multiple of 8 from {MIN_SIZE} to {args.max_size}"
        raise InvalidRequest(f"size: should be {takes}, got {reprlib.repr(size)}", param="size")
    return width, height


def _seed_of(job_id: str) -> int:
    """A seed of 32 bits: short enough to be noted down, and exact in JavaScript."""
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:4], "big")


def _progress_chunk(job: Job, step: int, request: ImageRequest) -> bytes:
    state = {"object": "image.progress", "id": job.id, "step": step, "steps": request.shape.steps}
    return msgspec.json.encode(state)


def _result_chunk(job: Job, pictures: list[Any], request: ImageRequest) -> bytes:
    data = [
        {"b64_json": base64.b64encode(_png(picture)).decode(), "seed": seed}
        for picture, seed in zip(pictures, request.seeds, strict=True)
    ]
    result = {"object": "image.result", "id": job.id, "created": int(time.time()), "data": data}
    return msgspec.json.encode(result)


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()
