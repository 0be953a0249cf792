"""`crofai gateway` and `crofai worker`: one process of the system, in place of this one."""

import os
import sys
from typing import Annotated

import typer

from gateway.cli import instance
from shared.settings import load_settings


def gateway() -> None:
    """Run one gateway. It reads CROFAI_* variables."""
    _become("gateway")


def worker(
    model: Annotated[str, typer.Option(help="A name or alias in the catalogue.")],
    engine: Annotated[str | None, typer.Option(help="`simulated` runs without weights.")] = None,
) -> None:
    """Run one worker, which serves one model."""
    _become("workers", "--model", model, *(["--engine", engine] if engine else []))


def _become(module: str, *arguments: str) -> None:
    """Hand this process over: signals and exit status are the module's from now on."""
    settings = load_settings()
    environment = dict(os.environ)
    running = instance.running(settings.data_dir)
    if running and "redis_url" not in settings.model_fields_set:
        # Beside a running `crofai up`, one more worker should join it.
        environment["CROFAI_REDIS_URL"] = running.redis_url
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)
