"""Ways to leave an engine's answer before its end, and its processes, which may end before."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from shared.messages import Job
from tests.engine.bench import collect
from workers.engines.base import Engine


async def nothing_is_held(engine: Any) -> None:
    """vLLM has more slots than a test can fill, but its cache is only reset when no request holds a part of it."""
    assert engine._llm.get_num_unfinished_requests() == 0
    async with asyncio.timeout(20):
        while not await engine._llm.reset_prefix_cache():
            await asyncio.sleep(0.1)


async def close_after_first(engine: Engine, job: Job, number: int) -> None:
    async with aclosing(engine.generate(job)) as stream:
        await anext(stream)


async def cancel_after_first(engine: Engine, job: Job, number: int) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async for _ in engine.generate(job):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    await cancel(task)


async def cancel_before_first(engine: Engine, job: Job, number: int) -> None:
    """On its way into the engine, each time a little further."""
    task = asyncio.create_task(collect(engine, job))
    for _ in range(2 ** (number % 9)):
        await asyncio.sleep(0)
    await cancel(task)


async def cancel_whole(engine: Engine, job: Job, number: int) -> None:
    """While an answer is made that is not streamed."""
    task = asyncio.create_task(collect(engine, replace(job, body=job.body | {"stream": False})))
    await asyncio.sleep(0.02)
    await cancel(task)


async def cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


LEAVE: dict[str, Callable[[Engine, Job, int], Coroutine[Any, Any, None]]] = {
    "closed": close_after_first,
    "cancelled": cancel_after_first,
    "cancelled early": cancel_before_first,
    "cancelled whole": cancel_whole,
}


async def kill_engine_processes() -> None:
    for process in engine_processes():
        process.kill()


def engine_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.name().startswith("VLLM")]
