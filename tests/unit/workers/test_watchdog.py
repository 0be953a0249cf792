"""The watchdog: one call when the engine is silent or gone, none while it answers."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from workers.engines.base import EngineDied
from workers.watchdog import Watchdog

PATIENCE = 0.2


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.call_soon, loop.stop)  # after what was cancelled has noticed it
    thread.join(5)
    loop.close()


class Bench:
    def __init__(self, loop: asyncio.AbstractEventLoop, ping: Callable[[], Awaitable[None]]) -> None:
        self.stalled, self.died = threading.Event(), threading.Event()
        self.ping = ping
        self.progress: object = None
        self.watchdog = Watchdog(
            self,  # type: ignore[arg-type]
            loop,
            PATIENCE,
            lambda: self.progress,
            on_stall=self.stalled.set,
            on_death=self.died.set,
        )
        self.watchdog.start()


def test_an_engine_that_answers_is_left_alone(loop: asyncio.AbstractEventLoop) -> None:
    pings, enough = 0, threading.Event()

    async def answer() -> None:
        nonlocal pings
        pings += 1
        if pings == 20:
            enough.set()

    bench = Bench(loop, answer)
    assert enough.wait(5)
    bench.watchdog.stop()
    assert not bench.stalled.is_set()
    assert not bench.died.is_set()


async def hang() -> None:
    await asyncio.Event().wait()


async def block() -> None:
    time.sleep(PATIENCE * 3)


@pytest.mark.parametrize("ping", [hang, block])
def test_silence_is_a_stall(loop: asyncio.AbstractEventLoop, ping: Callable[[], Awaitable[None]]) -> None:
    bench = Bench(loop, ping)
    assert bench.stalled.wait(5)
    assert not bench.died.is_set()


def test_a_dead_engine_is_told(loop: asyncio.AbstractEventLoop) -> None:
    async def die() -> None:
        raise EngineDied("gone")

    bench = Bench(loop, die)
    assert bench.died.wait(5)
    assert not bench.stalled.is_set()


def test_nothing_is_called_once_it_is_stopped(loop: asyncio.AbstractEventLoop) -> None:
    asked, stopped = threading.Event(), threading.Event()

    async def fail_late() -> None:
        asked.set()
        await asyncio.to_thread(stopped.wait, 5)
        raise EngineDied("closed")

    bench = Bench(loop, fail_late)
    assert asked.wait(5)
    bench.watchdog.stop()
    stopped.set()
    assert not bench.died.wait(PATIENCE)


async def answer() -> None:
    pass


def test_an_engine_that_answers_and_does_nothing_is_stuck(loop: asyncio.AbstractEventLoop) -> None:
    bench = Bench(loop, answer)
    bench.progress = (0, 1)
    assert bench.stalled.wait(5)
    assert not bench.died.is_set()


def test_an_engine_that_comes_on_is_left_alone(loop: asyncio.AbstractEventLoop) -> None:
    steps, enough = 0, threading.Event()

    async def step() -> None:
        nonlocal steps
        steps += 1
        bench.progress = (0, steps)
        if steps == 20:
            enough.set()

    bench = Bench(loop, step)
    assert enough.wait(5)
    bench.watchdog.stop()
    assert not bench.stalled.is_set()
    assert time.monotonic() - bench.watchdog.seen < 5
