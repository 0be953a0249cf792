"""diffusers: SDXL images. One thread runs the pipeline; images of one shape are denoised together. Hop 5.

The path of a request: `parse_request` checks it and says which images to make; they wait; `_serve` takes the one
that has waited longest and those of its size, steps and guidance, at most `batch` of them, and has the thread
denoise them. Images that come while a batch runs wait for the next. What a batch gains, and what it changes, is
in docs/decisions/0006-images.md.
"""

import asyncio
import contextlib
import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shared.catalog import Model
from shared.errors import EngineFailed
from shared.messages import Chunk, Job, Usage
from workers.engines import image_answer, sdxl
from workers.engines.base import Done, EngineDied, Meter, Piece, Progress, Stream
from workers.engines.image_request import ImageSpec, parse_request

log = logging.getLogger(__name__)

STALL_SECONDS = 300.0
"""A step, or the decoding after the last one, that takes longer than this is taken to be stuck. Not a setting:
that one is for an engine that does not answer, and a step on a CPU may take longer."""

CLOSE_SECONDS = 30.0
"""How long `close` waits for the step that is being computed."""


class DiffusersEngine:
    """StableDiffusionXLPipeline for one model."""

    def __init__(self, model: Model, data_dir: Path) -> None:
        self._model = model
        self._data_dir = data_dir
        self._args = model.image_args
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diffusers")
        self._pipeline: Any = None
        self._server: asyncio.Task[None] | None = None
        # Both are as long as there are open streams, which the worker bounds by `capacity`.
        self._open: list[_Run] = []
        self._waiting: list[_Image] = []
        self._arrived = asyncio.Event()
        self._stuck = False
        self._end: EngineFailed | None = EngineFailed("the engine has not been loaded")

    @property
    def capacity(self) -> int:
        """One batch that runs and one that waits."""
        return 2 * self._args.batch

    async def load(self, progress: Progress) -> None:
        loop = asyncio.get_running_loop()
        self._pipeline = await loop.run_in_executor(
            self._thread, sdxl.load, self._model, self._args, self._data_dir, progress
        )
        self._end = None
        self._server = asyncio.create_task(self._serve())

    async def generate(self, job: Job, recorded: Sequence[Chunk] = (), meter: Meter | None = None) -> Stream:
        specs = parse_request(job, self._args)
        steps, done = specs[0].shape.steps, 0
        run = self._enter(specs)
        if meter:
            meter.read = lambda: Usage(image_steps=done * len(specs))
        try:
            while (step := await run.next_step()) is not None:
                done = step
                yield Piece(payload=image_answer.progress(job, step, steps))
            # Packing takes up to a second of CPU: beside the next batch, not before it.
            payload = await asyncio.to_thread(_result, job, run.images)
            yield Piece(payload=payload)
            yield Done(finish_reason="stop", usage=image_answer.usage(specs))
        finally:
            self._leave(run)

    async def ping(self) -> None:
        """Its thread is watched by `_denoise`, step by step."""
        if isinstance(self._end, EngineDied):
            raise self._end

    async def close(self) -> None:
        self._end_all(EngineFailed("the engine was closed"))
        self._arrived.set()
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._server
                # A thread that is stuck in a step must not be waited for.
                self._thread.shutdown(wait=not self._stuck)
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._pipeline = None

    def _enter(self, specs: list[ImageSpec]) -> "_Run":
        if self._end is not None:
            raise self._end
        run = _Run(specs)
        self._open.append(run)
        self._waiting += run.images
        self._arrived.set()
        return run

    def _leave(self, run: "_Run") -> None:
        run.wanted = False
        self._open.remove(run)
        self._waiting = [image for image in self._waiting if image.run is not run]

    def _end_all(self, error: EngineFailed) -> None:
        """End every stream with this error, and take no more."""
        self._end = error
        self._waiting = []
        for run in self._open:
            run.fail(error)

    async def _serve(self) -> None:
        """Run batches until the engine is closed or dies."""
        while self._end is None:
            if batch := self._next_batch():
                await self._run(batch)
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _next_batch(self) -> list["_Image"]:
        """The image that has waited longest, and what can be denoised with it."""
        if not self._waiting:
            return []
        shape = self._waiting[0].spec.shape
        batch = [image for image in self._waiting if image.spec.shape == shape][: self._args.batch]
        self._waiting = [image for image in self._waiting if image not in batch]
        return batch

    async def _run(self, batch: list["_Image"]) -> None:
        """Denoise a batch; its end, whatever it is, reaches the requests it belongs to."""
        try:
            for image, picture in zip(batch, await self._denoise(batch), strict=True):
                image.finish(picture)
        except sdxl.Unwanted:
            return
        except TimeoutError:
            self._stuck = True
            self._end_all(EngineDied(f"the image engine was stuck for {STALL_SECONDS:.0f} s"))
        except Exception as error:
            log.exception("%s: a batch of %d images failed", self._model.id, len(batch))
            self._blame(batch, error)

    async def _denoise(self, batch: list["_Image"]) -> list[Any]:
        """The batch's pictures. Raises TimeoutError if the thread is stuck, and what the pipeline raises."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(STALL_SECONDS) as patience:

            def advance(step: int) -> None:
                if not patience.expired():
                    patience.reschedule(loop.time() + STALL_SECONDS)
                for image in batch:
                    image.advance(step)

            def tell(step: int) -> None:
                loop.call_soon_threadsafe(advance, step)

            return await loop.run_in_executor(
                self._thread,
                sdxl.denoise,
                self._pipeline,
                [image.spec for image in batch],
                lambda: any(image.run.wanted for image in batch),
                tell,
            )

    def _blame(self, batch: list["_Image"], error: Exception) -> None:
        """Fail the batch's requests; all, and the engine, if the device is lost with them."""
        told = f"the image engine failed: {type(error).__name__}"
        if sdxl.device_lost(error):
            self._end_all(EngineDied(told))
        for image in batch:
            image.run.fail(EngineFailed(told))


class _Run:
    """A request in the engine. Only the loop changes it; the thread reads `wanted`."""

    def __init__(self, specs: list[ImageSpec]) -> None:
        self.images = [_Image(self, spec) for spec in specs]
        self.wanted = True
        self._told = 0
        self._failure: EngineFailed | None = None
        self._changed = asyncio.Event()

    async def next_step(self) -> int | None:
        """1, 2, 3 … as the average image reaches it; None when all are made. Raises the run's failure."""
        while self._failure is None:
            if self._told < sum(image.step for image in self.images) // len(self.images):
                self._told += 1
                return self._told
            if all(image.picture is not None for image in self.images):
                return None
            self._changed.clear()
            await self._changed.wait()
        raise self._failure

    def fail(self, error: EngineFailed) -> None:
        """End the stream with this error, unless it has one already."""
        self._failure = self._failure or error
        self.wanted = False
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()


class _Image:
    """One image of a request, on its way to a picture (Pillow's)."""

    def __init__(self, run: _Run, spec: ImageSpec) -> None:
        self.run = run
        self.spec = spec
        self.step = 0
        self.picture: Any = None

    def advance(self, step: int) -> None:
        self.step = step
        self.run.wake()

    def finish(self, picture: Any) -> None:
        self.picture = picture
        self.run.wake()


def _result(job: Job, images: list[_Image]) -> bytes:
    return image_answer.result(job, [image.spec for image in images], [_png(image.picture) for image in images])


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()
