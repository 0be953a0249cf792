"""`crofai up`: the whole system on this machine, until Ctrl-C."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import api, demo, instance, preflight, readiness, stack, valkey
from gateway.cli.console import Console
from gateway.cli.failures import CommandFailed
from gateway.cli.supervisor import Child, Supervisor
from shared.catalog import load_catalog
from shared.registry import Registry
from shared.settings import Settings, load_settings


def up(
    model: Annotated[list[str] | None, typer.Option(help="Serve this; may be repeated.")] = None,
    engine: Annotated[str | None, typer.Option(help="`simulated` needs no weights and makes up answers.")] = None,
    port: Annotated[int | None, typer.Option(help="Where the gateway listens; 0 picks a free port.")] = None,
    images: Annotated[bool, typer.Option(help="Serve the small image model, too.")] = True,
    force: Annotated[bool, typer.Option(help="Start in spite of too little memory or disk.")] = False,
) -> None:
    """Run everything: Valkey, the gateway, and a worker for each model. Ctrl-C stops it."""
    begun = time.monotonic()
    settings = load_settings()
    pools = stack.plan(load_catalog(settings.models_file), model or [], engine, images=images)
    console = Console(sys.stderr, width=max(len(name) for name in ("gateway", *(pool.name for pool in pools))))
    port = settings.port if port is None else port
    port = port or stack.free_port(settings.host)
    with _own(settings.data_dir) as claim:
        _check(console, pools, settings, port, force=force)
        run = Run(settings=settings, pools=pools, port=port, console=console, claim=claim, begun=begun)
        asyncio.run(run.until_stopped())


@dataclass(kw_only=True)
class Run:
    """One run of the whole system."""

    settings: Settings
    pools: list[stack.Pool]
    port: int
    console: Console
    claim: instance.Claim
    begun: float

    async def until_stopped(self) -> None:
        """Start everything, wait for Ctrl-C, SIGTERM or a failure, stop everything."""
        self._supervisor = Supervisor(self.console, self.settings.data_dir / "logs")
        self._signals = _Signals(self._supervisor)
        try:
            await self._signals.unless(self._serve(), self._supervisor.failed)
        finally:
            await self._stop()
    ...
