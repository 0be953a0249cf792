"""The `crofai` command. Data goes to stdout, talk to stderr; failures.py lists the exit statuses."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import chat, keys, models, processes, up
from shared.errors import CrofError


class _Commands(TyperGroup):
    """Shows every error raised on purpose as one line, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CrofError as error:
            print(f"crofai: {error}", file=sys.stderr)
            raise typer.Exit(getattr(error, "exit_status", 1)) from None


app = typer.Typer(
    cls=_Commands,
    help="A public inference API on a distributed job queue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("gateway")(processes.gateway)
app.command("worker")(processes.worker)
app.add_typer(keys.app, name="keys")
app.command("models")(models.models)
app.command("chat")(chat.chat)
