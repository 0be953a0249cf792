"""Every architecture of the catalogue loads in vLLM through our engine and answers, with tiny random weights."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from shared.catalog import Model, load_catalog
from tests.engine.families import FAMILIES, SMOLLM2_TOKENS, Family
from tests.factories import make_job
from workers.engines.base import Done, Piece
from workers.engines.vllm import VllmEngine
from workers.weights import locate

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

CATALOG = load_catalog()

SMALL = {
    "load_format": "dummy",
    "dtype": "float32",
    "enforce_eager": True,
    "kv_cache_memory_bytes": 128 * 2**20,
}
"""What fits an entry's own engine_args to a model without weights and a machine without a GPU."""

CHAT = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count to ten."}],
    "stream": True,
    "temperature": 0,
    "max_tokens": 8,
    "ignore_eos": True,
}

TOOLS = [{"type": "function", "function": {"name": "count", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a process: the engine's own runs the model, too, which halves the time to start."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


@pytest.fixture(scope="session")
def tokenizer(models_folder: Path) -> Path:
    return Path(locate(CATALOG.find("smollm2-135m"), models_folder, lambda share, detail: None))


def test_every_model_belongs_to_one_family() -> None:
    members = [name for family in FAMILIES.values() for name in family.models]
    assert sorted(members) == sorted(model.id for model in CATALOG.models.values() if model.engine == "vllm")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_family_loads_and_answers(name: str, tmp_path: Path, tokenizer: Path) -> None:
    FAMILIES[name].write(tmp_path, tokenizer)
    asyncio.run(load_and_chat(FAMILIES[name], tmp_path))


async def load_and_chat(family: Family, folder: Path) -> None:
    entry = CATALOG.find(family.models[0])
    model = Model(
        id=entry.id,
        kind="chat",
        engine="vllm",
        weights=str(folder),
        description=entry.description,
        context=256,
        max_tokens=64,
        engine_args=entry.engine_args | SMALL,
    )
    engine = VllmEngine(model, folder)
    try:
        await engine.load(lambda share, detail: None)
        if "tool_call_parser" in model.engine_args:
            await chat(engine, model, tools=TOOLS)
        elif "reasoning_parser" in model.engine_args:
            await check_reasoning(engine, model, family.tokens)
        else:
            await chat(engine, model)
    finally:
        await engine.close()


async def check_reasoning(engine: VllmEngine, model: Model, tokens: list[str]) -> None:
    """Random weights never choose </think>, so the bias does: once for no token but it, once for any but it."""
    end = str(SMOLLM2_TOKENS + tokens.index("</think>"))
    thinking = await chat(engine, model, logit_bias={end: -100})
    print(thinking)
    after = await chat(engine, model, logit_bias={end: 100})
    print(after)


async def chat(engine: VllmEngine, model: Model, **changes: Any) -> list[dict[str, Any]]:
    """Have 8 tokens streamed; the deltas."""
    job = make_job(model=model.id, body=CHAT | changes)
    async with aclosing(engine.generate(job)) as stream:
        items = [item async for item in stream]
    pieces = [item for item in items if isinstance(item, Piece)]
    done = items[-1]
    assert isinstance(done, Done)
    assert done.finish_reason == "length"
    assert done.usage.completion_tokens == sum(len(piece.tokens) for piece in pieces) == 8
    return [json.loads(piece.payload)["choices"][0]["delta"] for piece in pieces]
