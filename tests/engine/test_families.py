"""Every architecture of the catalogue loads in vLLM through our engine, and answers: tiny, with random weights."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from shared.catalog import Model, load_catalog
from tests.engine.families import FAMILIES
from tests.factories import make_job
from workers.engines.base import Done, Piece
from workers.engines.vllm import VllmEngine
from workers.weights import locate

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

CATALOG = load_catalog()

SMALL = {
    "load_format": "dummy",
    "dtype": "bfloat16",
    "enforce_eager": True,
    "kv_cache_memory_bytes": 128 * 2**20,
}
"""Set over an entry's own engine_args, so that it needs neither weights nor a GPU.

Not float32: on CPUs with AMX, kernels of DeepSeek take bfloat16 alone.
"""

CHAT = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count to ten."}],
    "stream": True,
    "temperature": 0,
    "max_tokens": 8,
    "ignore_eos": True,
}

TOOLS = [{"type": "function", "function": {"name": "count", "parameters": {"type": "object", "properties": {}}}}]


def test_every_model_is_of_one_family() -> None:
    members = [name for family in FAMILIES.values() for name in family.models]
    assert sorted(members) == sorted(model.id for model in CATALOG.models.values() if model.engine == "vllm")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_family_loads_and_answers(
    name: str, models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = FAMILIES[name]
    tokenizer = locate(CATALOG.find("smollm2-135m"), models_folder, lambda share, detail: None)
    ids = family.write(tmp_path, Path(tokenizer))
    start_faster(monkeypatch, family.config["architectures"][0])
    asyncio.run(load_and_chat(miniature(CATALOG.find(family.models[0]), tmp_path), ids))


def start_faster(monkeypatch: pytest.MonkeyPatch, architecture: str) -> None:
    """Spare two of the three processes that vLLM starts for a model new to it, each of which imports all of torch.

    The engine's process runs the model itself; the contract tests have the usual two. And its class is inspected
    here: vLLM does it in a process of its own so as not to touch a GPU.
    """
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    from vllm import ModelRegistry

    known = ModelRegistry.models[architecture]
    monkeypatch.setitem(ModelRegistry.models, architecture, known)  # Puts it back after the test.
    ModelRegistry.register_model(architecture, known.load_model_cls())


def miniature(entry: Model, folder: Path) -> Model:
    """The entry as it is served, except for what the true weights need."""
    changes = {
        "weights": str(folder),
        "context": 256,
        "max_tokens": 64,
        "tensor_parallel": 1,
        "quantization": None,
        "engine_args": entry.engine_args | SMALL,
    }
    return Model.model_validate(entry.model_dump() | changes)


async def load_and_chat(model: Model, ids: dict[str, int]) -> None:
    engine = VllmEngine(model, Path())
    try:
        await engine.load(lambda share, detail: None)
        if "tool_call_parser" in model.engine_args:
            await chat(engine, model, tools=TOOLS)
        elif "reasoning_parser" in model.engine_args:
            await check_reasoning(engine, model, ids)
        else:
            await chat(engine, model)
    finally:
        await engine.close()


async def check_reasoning(engine: VllmEngine, model: Model, ids: dict[str, int]) -> None:
    """Random weights say nothing of note, so a bias has them repeat one token: a word, then </think>."""
    deltas = await chat(engine, model, logit_bias={str(ids["Ġthe"]): 100})
    assert (text(deltas, "reasoning"), text(deltas, "content")) == (" the" * 8, "")
    # The first ends the reasoning; what follows is the answer.
    deltas = await chat(engine, model, logit_bias={str(ids["</think>"]): 100})
    assert (text(deltas, "reasoning"), text(deltas, "content")) == ("", "</think>" * 7)


async def chat(engine: VllmEngine, model: Model, **changes: Any) -> list[dict[str, Any]]:
    """Have 8 tokens streamed; what each chunk adds."""
    async with aclosing(engine.generate(make_job(model=model.id, body=CHAT | changes))) as stream:
        *pieces, done = [item async for item in stream]
    assert isinstance(done, Done)
    assert done.finish_reason == "length"
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert done.usage.completion_tokens == sum(len(piece.tokens) for piece in pieces) == 8
    return [json.loads(piece.payload)["choices"][0]["delta"] for piece in pieces]


def text(deltas: list[dict[str, Any]], field: str) -> str:
    return "".join(delta.get(field) or "" for delta in deltas)
