"""The SDXL pipeline, as the diffusers engine's thread runs it. All of it blocks. torch is imported here only."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.catalog import Model
from shared.errors import SetupError
from shared.image_args import ImageArgs
from workers.engines.base import Progress
from workers.engines.image_request import ImageSpec
from workers.weights import hush, locate


class Unwanted(Exception):
    """Nobody waits for any image of the batch any more."""


def load(model: Model, args: ImageArgs, data_dir: Path, progress: Progress) -> Any:
    """The pipeline, on the GPU if there is one. Raises SetupError.

    Downloads nothing unless the catalogue's `weights` is a hub id.
    """
    weights = locate(model, data_dir, lambda share, detail: progress(share * 0.4, detail))
    progress(0.4, "starting diffusers")
    try:
        hush()
        import torch
        from diffusers import StableDiffusionXLPipeline
        from diffusers.utils import logging as notes
    except ImportError as error:
        raise SetupError(f"{model.id}: {error}. Install what workers need: make setup") from error
    notes.disable_progress_bar()
    notes.set_verbosity_error()  # it warns of what it cuts off prompts, and quotes it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _limit_threads(device)
    progress(0.6, f"reading {weights}")
    try:
        pipeline = StableDiffusionXLPipeline.from_pretrained(
            weights,
            dtype=getattr(torch, args.dtype) if device == "cuda" else torch.float32,
            local_files_only=Path(weights).exists(),
            use_safetensors=True,  # other files may carry code
            add_watermarker=False,  # whether there is one would depend on a library that may be there
        )
        progress(0.9, f"moving the model to the {device}")
        pipeline.to(device)
    except Exception as error:  # torch, diffusers, transformers and safetensors have no common one
        raise SetupError(f"{model.id}: cannot load {weights}: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    # One picture at a time in the decoder, which needs several GB for each at SDXL's size.
    pipeline.vae.enable_slicing()
    progress(1.0, "ready")
    return pipeline


def denoise(
    pipeline: Any, batch: Sequence[ImageSpec], wanted: Callable[[], bool], tell: Callable[[int], None]
) -> list[Any]:
    """The pictures of images of one shape, as Pillow images in their order.

    After each step, calls `tell` with its number, from 1, or raises Unwanted if `wanted` says no.
    """
    import torch

    def stepped(_pipeline: Any, index: int, _timestep: Any, _tensors: Any) -> dict[str, Any]:
        # An exception also saves decoding the picture, which the pipeline's own interrupt would not.
        if not wanted():
            raise Unwanted
        tell(index + 1)
        return {}

    if not wanted():
        raise Unwanted
    shape = batch[0].shape
    pictures: list[Any] = pipeline(
        **_embed(pipeline, batch),
        width=shape.width,
        height=shape.height,
        num_inference_steps=shape.steps,
        guidance_scale=shape.guidance_scale,
        # Each image has its noise from its own seed, drawn on the CPU: the same in any batch, on any device.
        generator=[torch.Generator().manual_seed(spec.seed) for spec in batch],
        callback_on_step_end=stepped,
    ).images
    return pictures


def device_lost(error: Exception) -> bool:
    """Whether the accelerator is of no more use to this process. Being out of memory is not such an error."""
    import torch

    return isinstance(error, torch.AcceleratorError)


def _embed(pipeline: Any, batch: Sequence[ImageSpec]) -> dict[str, Any]:
    """The prompts as the pipeline's embedding arguments, one row for each image.

    Each prompt is encoded alone: SDXL tells a missing negative prompt from an empty one, and in one call for
    several prompts all have one or none has.
    """
    import torch

    guided = batch[0].shape.guidance_scale > 1
    names = ["prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
    with torch.no_grad():
        rows = [
            pipeline.encode_prompt(
                prompt=spec.prompt, negative_prompt=spec.negative_prompt, do_classifier_free_guidance=guided
            )
            for spec in batch
        ]
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return {name: torch.cat(column) for name, column in columns if column[0] is not None}


def _limit_threads(device: str) -> None:
    """One CPU thread, unless OMP_NUM_THREADS, which torch reads itself, says otherwise.

    torch would take every core, and starve the gateway and the other models of a small machine.
    """
    import torch

    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
