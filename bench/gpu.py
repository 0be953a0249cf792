"""How fast are true architectures on this GPU, alone and through the cluster?  `make bench-gpu`

Weights are made up (vLLM's load_format `dummy`): speed does not depend on their values. For each architecture and
each setting, vLLM's AsyncLLM is driven in this process; then, with the same arguments, the whole cluster is, over
HTTP. One stream alone, and many together. Beside them: the speed that users of the API have been told, and the
limit of one stream that the memory's bandwidth sets, as each token needs all weights to be read.

Speculation guesses what a prompt or an answer repeats. What made-up weights say repeats itself more, or less, than
answers do: its figures here show what speculation costs and may bring, not what it will.

With `--images` also SDXL at its true size, of random weights: 1024 x 1024, 30 steps.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import httpx

from bench.architectures import ARCHITECTURES, build
from bench.batching import Ask, in_process, over_http, run_round, start_engine
from bench.machine import save
from shared.catalog import Model
from shared.messages import Job, new_job_id
from tests.cluster import ROOT, cluster

RESULTS = ROOT / "bench" / "results" / "gpu.json"
CONTEXT = 4096  # tokens of prompt and answer
STARTS = 1800.0  # seconds: graphs are captured, kernels compiled
STEPS = 30  # of an image
BANDWIDTH = 4.8  # TB/s of an H200's memory, by its data sheet
SETTINGS: dict[str, dict[str, Any]] = {
    "bf16": {},
    "fp8": {"quantization": "fp8"},
    "fp8, n-gram": {
        "quantization": "fp8",
        "engine_args": {
            "speculative_config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
        },
    },
}
"""Beside vLLM's defaults, which have CUDA graphs and a prefix cache."""

Figures = dict[str, float]


def entry(folder: Path, setting: dict[str, Any], streams: int, *, cpu: bool) -> dict[str, Any]:
    """A catalogue's entry for a folder that `build` made."""
    args: dict[str, Any] = {"load_format": "dummy", "max_num_seqs": streams}
    args |= {"enforce_eager": True, "kv_cache_memory_bytes": 2**28} if cpu else {"dtype": "bfloat16"}
    return {
        "engine": "vllm",
        "description": "An architecture whose weights are made up.",
        "weights": str(folder),
        "context": CONTEXT,
        "max_tokens": CONTEXT // 2,
        "quantization": setting.get("quantization"),
        "engine_args": args | setting.get("engine_args", {}),
    }


async def speeds(ask: Ask, args: argparse.Namespace) -> Figures:
    """Tokens a second of one stream, and of many together; medians of rounds."""
    await run_round(ask, args.streams, 16)
    alone = [await run_round(ask, 1, args.tokens) for _ in range(args.rounds)]
    batched = [await run_round(ask, args.streams, args.tokens) for _ in range(args.rounds)]
    return {
        "per_stream": statistics.median(each.tokens_per_second for each in alone),
        "batched": statistics.median(each.tokens_per_second for each in batched),
        "ttft_ms": 1000 * statistics.median(each.ttft[0] for each in alone),
    }


async def engine_alone(model: Model, args: argparse.Namespace) -> Figures:
    llm = start_engine(model, model.weights, args.streams)
    try:
        return await speeds(in_process(llm), args)
    finally:
        llm.shutdown()


async def through_cluster(folder: Path, name: str, fields: dict[str, Any], args: argparse.Namespace) -> Figures:
    with cluster(folder, {name: fields}) as running:
        running.start_gateway()
        running.start_worker(name, engine=None, timeout=STARTS)
        limits = httpx.Limits(max_connections=2 * args.streams)
        async with httpx.AsyncClient(timeout=600, limits=limits) as client:
            return await speeds(over_http(client, running.url, running.key(), name), args)


def language(folder: Path, name: str, args: argparse.Namespace) -> Iterable[tuple[str, dict[str, Any]]]:
    """One architecture, setting by setting."""
    weights = folder / name
    build(ARCHITECTURES[name], weights, CONTEXT)
    for setting in args.settings:
        fields = entry(weights, SETTINGS[setting], args.streams, cpu=args.cpu)
        model = Model(id=name, kind="chat", **fields)
        found: dict[str, Any] = {"engine": asyncio.run(engine_alone(model, args))}
        found["cluster"] = asyncio.run(through_cluster(_new(folder), name, fields, args))
        found["told"] = ARCHITECTURES[name].told
        # Who speculates makes several tokens of one reading.
        reads = ARCHITECTURES[name].bytes_per_token("quantization" in SETTINGS[setting])
        found["limit"] = None if "engine_args" in SETTINGS[setting] else round(args.bandwidth * 1e12 / reads, 1)
        yield setting, found


def images(folder: Path, weights: str, size: str, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds for an image: by the engine alone, and through the cluster."""
    fields = {
        "engine": "diffusers",
        "description": "SDXL of random weights.",
        "weights": weights,
        "engine_args": {"steps": STEPS, "max_steps": STEPS, "size": size, "batch": 1},
    }
    if not args.cpu:
        fields["engine_args"] |= {"dtype": "float16"}  # type: ignore[operator]
    name = weights.partition(":")[2]
    alone = asyncio.run(_image_alone(Model(id=name, kind="image", **fields), args.rounds))  # type: ignore[arg-type]
    with cluster(_new(folder), {name: fields}) as running:
        running.share_weights()
        running.start_gateway()
        running.start_worker(name, engine=None, timeout=STARTS)
        key = running.key()
        clustered = asyncio.run(
            _timed(lambda: asyncio.to_thread(_image_over_http, running.url, key, name), args.rounds)
        )
    return {"engine": {"seconds": alone}, "cluster": {"seconds": clustered}, "size": size, "steps": STEPS}


async def _image_alone(model: Model, rounds: int) -> float:
    from workers.engines.diffusers import DiffusersEngine

    engine = DiffusersEngine(model, ROOT / "data")
    await engine.load(lambda share, detail: None)

    async def one() -> None:
        now = time.time()
        job = Job(
            id=new_job_id(),
            model=model.id,
            kind="image",
            body={"prompt": "a lighthouse"},
            account="bench",
            tier="premium",
            reply_to="",
            created=now,
            deadline=now + STARTS,
            request="",
            trace="",
        )
        async for _ in engine.generate(job):
            pass

    try:
        return await _timed(one, rounds)
    finally:
        await engine.close()


def _image_over_http(url: str, key: str, model: str) -> None:
    body = {"model": model, "prompt": "a lighthouse", "response_format": "b64_json"}
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{url}/v1/images/generations", json=body, headers=headers, timeout=STARTS)
    answer.raise_for_status()


async def _timed(one: Callable[[], Awaitable[None]], rounds: int) -> float:
    """The median of so many, in seconds; the first is not counted."""
    await one()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        await one()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _new(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def show(name: str, setting: str, found: dict[str, Any]) -> None:
    engine, clustered, limit = found["engine"], found["cluster"], found["limit"]
    print(
        f"{name:30}{setting:13}{engine['per_stream']:9.0f}{clustered['per_stream']:9.0f}"
        f"{'–' if limit is None else f'{limit:.0f}':>9}{found['told']:8.0f}"
        f"{engine['batched']:11.0f}{clustered['batched']:11.0f}{clustered['batched'] / engine['batched']:8.3f}",
        flush=True,
    )


def _card() -> str:
    """The GPU's name. Says what is missing, before half an hour of waiting."""
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        sys.exit(
            "bench-gpu: no GPU is here. `--cpu --models tiny --settings bf16` tries the path out without one."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shipped = [name for name in ARCHITECTURES if name != "tiny"]
    parser.add_argument("--models", nargs="*", choices=ARCHITECTURES, default=shipped)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--streams", type=int, default=64, help="together")
    parser.add_argument("--tokens", type=int, default=512, help="of an answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", action="store_true", help="SDXL, too")
    parser.add_argument("--cpu", action="store_true", help="try the path out where no GPU is")
    parser.add_argument("--bandwidth", type=float, default=BANDWIDTH, help="of the GPU's memory, TB/s")
    parser.add_argument("--out", type=Path, help="bench/results/gpu.json, unless --cpu: then nowhere")
    args = parser.parse_args()
    card = "no GPU" if args.cpu else _card()
    out = args.out or (None if args.cpu else RESULTS)
    figures: dict[str, Any] = json.loads(out.read_text())["figures"] if out and out.exists() else {}

    def keep() -> None:
        """After each: half an hour is long, and a machine is lent for less."""
        if out:
            save(out, figures, card=card, streams=args.streams, bandwidth=args.bandwidth)

    with tempfile.TemporaryDirectory(prefix="crofai-bench-") as folder:
        print(f"{'tokens/s':43}{'a stream':>9}{'cluster':>9}{'limit':>9}{'told':>8}", end="")
        print(f"{'batched':>11}{'cluster':>11}{'ratio':>8}")
        for name in args.models:
            for setting, found in language(Path(folder), name, args):
                show(name, setting, found)
                figures.setdefault(name, {})[setting] = found
                keep()
        if args.images:
            weights, size = ("random:sdxl-tiny", "256x256") if args.cpu else ("random:sdxl", "1024x1024")
            figures["sdxl"] = images(Path(folder), weights, size, args)
            print(f"SDXL: {figures['sdxl']}")
            keep()


if __name__ == "__main__":
    main()
