"""`crofai keys`: make, list and revoke API keys."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli import tables
from gateway.cli.failures import CommandFailed
from shared.accounts import MOST_NAME, Accounts
from shared.settings import load_settings

app = typer.Typer(help="Make, list and revoke API keys.", invoke_without_command=True)


class Tier(StrEnum):
    free = "free"
    premium = "premium"


@app.callback()
def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_keys()


@app.command()
def create(
    name: Annotated[
        str,
        typer.Argument(
            help=f"Whose key it is, in up to {MOST_NAME} characters. An account of this name is made if need be."
        ),
    ],
    tier: Annotated[
        Tier, typer.Option(help="Premium keys may use all endpoints, and are served first.")
    ] = Tier.free,
) -> None:
    """Make a key. It is printed once and cannot be shown again."""
    key = _accounts().create_key(name, tier.value)
    print(f"{key.id}: a {key.tier} key for {name}, shown only this once:", file=sys.stderr)
    print(key.secret)


@app.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="For programs; times are Unix seconds.")] = False,
) -> None:
    """All keys, oldest first."""
    keys = _accounts().list_keys()
    if as_json:
        print(json.dumps([asdict(key) for key in keys], indent=2))
        return
    tables.show(
        ("id", "name", "tier", "created", "last used", "revoked"),
        ((k.id, escape(k.name), k.tier, _date(k.created), _date(k.last_used), _date(k.revoked)) for k in keys),
    )


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="A key's id, or a name to revoke all its keys.")],
) -> None:
    """Make a key invalid, for good."""
    revoked = _accounts().revoke_key(key)
    if not revoked:
        raise CommandFailed(f"there is no valid key '{key}'. Try: crofai keys list")
    print(f"revoked: {', '.join(revoked)}", file=sys.stderr)


def _accounts() -> Accounts:
    accounts = Accounts(load_settings().sql_url)
    accounts.migrate()
    return accounts


def _date(time: float | None) -> str:
    return "-" if time is None else datetime.fromtimestamp(time).isoformat(" ", "seconds")
