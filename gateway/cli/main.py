"""The `crofai` command. Data goes to stdout, talk to stderr; failures.py lists the exit statuses."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import (
    accounts,
    chat,
    database,
    image,
    jobs,
    keys,
    models,
    planning,
    processes,
    tiers,
    top,
    up,
    usage,
)
from gateway.cli.failures import STATUSES
from gateway.cli.gone import may_be_gone, written_out
from gateway.cli.plain import plain
from shared.errors import CrofError
from shared.settings import misspelt


class _Commands(TyperGroup):
    """Shows every error raised on purpose as one line, without a traceback, and output that cannot be written."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _open_streams()
        with written_out():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        for name, meant in misspelt().items():
            print(f"crofai: warning: {name} is no setting. Did you mean {meant}?", file=sys.stderr)
        try:
            return super().invoke(ctx)
        except CrofError as error:
            with may_be_gone():
                print(f"crofai: {plain(str(error))}", file=sys.stderr, flush=True)
            raise typer.Exit(getattr(error, "exit_status", 1)) from None


def _open_streams() -> None:
    """Whoever started us may have closed them; a file or socket of ours must not take their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


app = typer.Typer(
    cls=_Commands,
    help="A public inference API on a distributed job queue.",
    no_args_is_help=True,
    epilog=STATUSES,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("gateway")(processes.gateway)
app.command("worker")(processes.worker)
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.command("tiers")(tiers.tiers)
app.command("usage", epilog=STATUSES)(usage.usage)
app.command("plan")(planning.plan_replicas)
app.add_typer(jobs.app, name="jobs")
app.add_typer(database.app, name="database")
app.command("models")(models.models)
app.command("top", epilog=STATUSES)(top.top)
app.command("chat", epilog=STATUSES)(chat.chat)
app.command("image", epilog=STATUSES)(image.image)
