"""Waits until what `crofai up` has started does its work, and says meanwhile what it is at."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import httpx
import redis

from gateway.cli import valkey
from gateway.cli.console import Console
from gateway.cli.failures import NotReady
from gateway.cli.supervisor import Child
from shared.registry import Registry, Report

POLL = 0.25  # seconds between two looks at what starts
WATCH = 2.0  # the same, once all runs
TALK = 5.0  # seconds between two lines about one worker
SOON = 60.0  # Valkey, with a long log to read, and the gateway
LATER = 1800.0  # workers: a large model is long in coming


async def valkey_ready(child: Child, client: "redis.Redis") -> None:
    await _until(lambda: asyncio.to_thread(valkey.answers, client), "Valkey", SOON)
    child.mark_ready()


async def gateway_ready(child: Child, url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=2) as client:

        async def healthy() -> bool:
            try:
                return (await client.get("/health")).is_success
            except httpx.HTTPError:
                return False

        await _until(healthy, "the gateway", SOON)
    child.mark_ready()


class Workers:
    """Follows the workers' own reports. `children` maps each worker's child to the id of its model.

    `seconds` tells how long each took to be ready for the first time.
    """

    def __init__(self, children: Mapping[Child, str], registry: Registry, console: Console) -> None:
        self._children = children
        self._registry = registry
        self._console = console
        self._said: dict[Child, float] = {}
        self._ready = asyncio.Event()
        self.seconds: dict[str, float] = {}

    async def watch(self) -> None:
        """Follow them for ever: they may be restarted."""
        while True:
            reports = await self._reports()
            # A report outlives its worker: what has ended is not ready, whatever it said last.
            running = {child: model for child, model in self._children.items() if child.running}
            for child, report in assign(running, reports).items():
                self._follow(child, report)
            if all(child.ready for child in self._children):
                self._ready.set()
            await asyncio.sleep(WATCH if self._ready.is_set() else POLL)

    async def ready(self) -> None:
        """Wait until all are. Raises NotReady."""
        try:
            async with asyncio.timeout(LATER):
                await self._ready.wait()
        except TimeoutError:
            late = ", ".join(child.service.name for child in self._children if not child.ready)
            raise NotReady(f"not ready after {LATER / 60:.0f} minutes: {late}. See their logs.") from None

    def _follow(self, child: Child, report: Report | None) -> None:
        age = time.time() - child.started
        if report and report.state == "ready" and not child.ready:
            child.mark_ready()
            self.seconds.setdefault(child.service.name, age)
            self._console.say(f"{child.service.name}  ready after {age:.0f} s")
        if child.ready or time.monotonic() - self._said.setdefault(child, time.monotonic()) < TALK:
            return
        self._said[child] = time.monotonic()
        state, detail = (report.state, report.detail) if report else ("starting", "no report yet")
        self._console.say(f"{child.service.name}  {state}  {detail}, {age:.0f} s")

    async def _reports(self) -> list[Report]:
        try:
            return await asyncio.to_thread(self._registry.workers)
        except redis.RedisError:
            return []


def assign(children: Mapping[Child, str], reports: Iterable[Report]) -> dict[Child, Report | None]:
    """Which report is whose: of those for a child's model, the oldest left that is not older than the child.

    A report outlives its worker for some seconds, so that a restarted child must not be taken for its
    predecessor.
    """
    left = sorted(reports, key=lambda report: report.started)
    found: dict[Child, Report | None] = {}
    for child in sorted(children, key=lambda child: child.started):
        mine = (r for r in left if r.model == children[child] and r.started >= child.started)
        found[child] = next(mine, None)
        left = [report for report in left if report is not found[child]]
    return found


async def _until(condition: Callable[[], Awaitable[bool]], what: str, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            while not await condition():
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise NotReady(f"{what} does not answer after {timeout:.0f} s. See its log.") from None
