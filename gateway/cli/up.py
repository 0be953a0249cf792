"""`crofai up`: the whole system on this machine, until Ctrl-C."""

import asyncio
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from gateway.cli import instance, preflight, services
from gateway.cli.console import Console
from gateway.cli.failures import CommandFailed
from gateway.cli.stack import Stack
from gateway.listener import free_port
from shared.catalog import load_catalog
from shared.settings import load_settings
from shared.tiers import load_tiers


def up(
    model: Annotated[list[str] | None, typer.Option(help="Serve this; may be repeated.")] = None,
    engine: Annotated[str | None, typer.Option(help="`simulated` needs no weights and makes up answers.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where the gateway listens; 0 picks a free port.")
    ] = None,
    images: Annotated[bool, typer.Option(help="Serve the small image model, too.")] = True,
    force: Annotated[bool, typer.Option(help="Start in spite of too little memory or disk.")] = False,
) -> None:
    """Run everything: Valkey, the gateway, and a worker for each model. Ctrl-C stops it."""
    settings = load_settings()
    # What is wrong in the files is told before anything is started, or made.
    catalog = load_catalog(settings.models_file)
    tiers = load_tiers(settings.tiers_file, catalog.models)
    pools = services.make(catalog, model or [], engine, images=images)
    engines = [pool.engine for pool in pools]
    port = settings.port if port is None else port
    console = Console(sys.stderr, width=max(len(name) for name in ("gateway", *(pool.name for pool in pools))))
    # The folder first: what holds the lock is in it.
    _refuse(preflight.check_folder(settings.data_dir))
    try:
        with instance.claim(settings.data_dir) as claim:
            _refuse(preflight.problems(engines, settings, port))
            shortages = list(preflight.shortages(engines, settings.data_dir))
            if not force:
                _refuse(shortages)
            for shortage in shortages:
                console.say(f"warning: {shortage}")
            port = port or free_port(settings.host)
            asyncio.run(Stack(settings, pools, tiers, port, console, claim).run())
    except OSError as error:
        if error.filename is None:
            raise
        # Something in the data folder, such as what another user has left there.
        raise CommandFailed(f"{error.filename} cannot be used: {error.strerror}") from None


def _refuse(problems: Iterable[str]) -> None:
    """Raise CommandFailed with a line for each problem, if there is one."""
    if lines := list(problems):
        raise CommandFailed("\ncrofai: ".join(lines))
