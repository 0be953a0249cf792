"""The pace of the simulated engine."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from workers.engines.simulated import Steps

STEP = 0.004  # seconds


async def taken(steps: int) -> float:
    """Seconds for so many steps, one after the other."""
    loop, pace = asyncio.get_running_loop(), Steps(STEP)
    begin = loop.time()
    for _ in range(steps):
        await pace.next()
    return loop.time() - begin


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_no_step_is_shorter_than_it_should_be(run: Callable[[Coroutine[Any, Any, float]], float]) -> None:
    """uvloop's timers are early by up to a millisecond."""
    assert run(taken(50)) > 48 * STEP
