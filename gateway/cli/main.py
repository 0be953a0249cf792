"""The `crofai` command. Data goes to stdout, talk to stderr; failures.py lists the exit statuses."""

import os
import sys
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from gateway.cli.failures import STATUSES
from gateway.cli.gone import may_be_gone, written_out
from gateway.cli.plain import plain
from shared.errors import CrofError


class _Command(NamedTuple):
    """One that is loaded when it is given: what it needs may take seconds to load. `place` is its module in this
    package, and its name there; `words` are the first that its help says."""

    place: str
    words: str
    epilog: str | None = None


COMMANDS = {
    "up": _Command("up:up", "Run everything: Valkey, the gateway, and a worker for each model. Ctrl-C stops it."),
    "gateway": _Command("processes:gateway", "Run one gateway. It reads CROFAI_* variables."),
    "worker": _Command("processes:worker", "Run one worker, which serves one model."),
    "accounts": _Command("accounts:app", "Make, list, change and suspend accounts."),
    "keys": _Command("keys:app", "Make, list, change and revoke API keys."),
    "tiers": _Command(
        "tiers:tiers",
        "List the tiers with all that they have, a column for each; CROFAI_TIERS_FILE changes them.",
    ),
    "usage": _Command("usage:usage", "What was used, by days of UTC.", STATUSES),
    "plan": _Command("planning:plan_replicas", "Plan each model's replicas from its usage."),
    "jobs": _Command("jobs:app", "List, show, retry or drop jobs that were given up."),
    "database": _Command("database:app", "The SQL database of accounts and usage."),
    "models": _Command("models:models", "List the models: those with workers first."),
    "top": _Command(
        "top:top",
        "Each model's workers and jobs: on a terminal until q or Ctrl-C, elsewhere as they are now.",
        STATUSES,
    ),
    "chat": _Command("chat:chat", "Chat with a model, or ask it one question.", STATUSES),
    "image": _Command("image:image", "Make an image, and print where it is. Ctrl-C stops it.", STATUSES),
}


class _Commands(TyperGroup):
    """Shows every error raised on purpose as one line, without a traceback, and output that cannot be written."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _open_streams()
        with written_out():
            return super().main(*args, **kwargs)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, name and _loaded(name), rest

    def invoke(self, ctx: Any) -> Any:
        from shared.settings import misspelt  # help can do without

        for name, meant in misspelt().items():
            print(f"crofai: warning: {name} is no setting. Did you mean {meant}?", file=sys.stderr)
        try:
            return super().invoke(ctx)
        except CrofError as error:
            with may_be_gone():
                print(f"crofai: {plain(str(error))}", file=sys.stderr, flush=True)
            raise typer.Exit(getattr(error, "exit_status", 1)) from None


def _loaded(name: str) -> Any:
    """The command of this name; for lists of commands, one that does nothing stands in for it."""
    place, words, epilog = COMMANDS[name]
    module, _, attribute = place.partition(":")
    found = getattr(import_module(f"gateway.cli.{module}"), attribute)
    alone = typer.Typer()
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name, help=words)
    else:
        alone.command(name, epilog=epilog)(found)
    return get_group(alone).commands[name]


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
for name, command in COMMANDS.items():
    app.command(name, help=command.words)(lambda: None)
