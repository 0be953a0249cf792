"""`crofai accounts`: make, list, change and suspend accounts."""

import json
import sys
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli import tables
from gateway.cli.admin import USUAL_TIER, AsJson, connect, date
from gateway.cli.api import Url

app = typer.Typer(invoke_without_command=True)

Account = Annotated[str, typer.Argument(metavar="NAME", help="An account's name or id.")]


@app.callback()
def default(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    if context.invoked_subcommand is None:
        list_accounts(as_json=as_json, url=url)


@app.command("list")
def list_accounts(as_json: AsJson = False, url: Url = None) -> None:
    """All accounts, oldest first."""
    with connect(url) as admin:
        accounts = admin.all("/v1/admin/accounts")
        tiers = admin.tiers()
    if as_json:
        print(json.dumps(accounts, indent=2))
        return
    tables.show(
        ("id", "name", "tier", "created", "suspended"),
        (
            (
                account["id"],
                escape(account["name"]),
                account["tier"] if account["tier"] in tiers else f"{account['tier']} (gone)",
                date(account["created"]),
                date(account["suspended"]),
            )
            for account in accounts
        ),
    )
    if any(account["tier"] not in tiers for account in accounts):
        print(
            "Accounts whose tier is gone are refused all that they ask for. Give them another: "
            f"crofai accounts set NAME --tier, and one of {', '.join(tiers)}",
            file=sys.stderr,
        )


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose account it is.")],
    tier: Annotated[
        str | None, typer.Option(help=f"{USUAL_TIER}, unless given, if there is that. See: crofai tiers")
    ] = None,
    url: Url = None,
) -> None:
    """Make an account. Its id is printed; keys for it are made with: crofai keys create NAME"""
    with connect(url) as admin:
        account = admin.post("/v1/admin/accounts", name=name, tier=tier or admin.usual_tier())
    print(account["id"])


@app.command()
def show(account: Account, url: Url = None) -> None:
    """One account and its keys, as JSON."""
    with connect(url) as admin:
        found = admin.account(account)
        keys = admin.all(f"/v1/admin/accounts/{found['id']}/keys")
    print(json.dumps(found | {"keys": keys}, indent=2))


@app.command("set")
def change(
    account: Account,
    tier: Annotated[str, typer.Option(help="The tier of all its keys, from now on; see: crofai tiers")],
    url: Url = None,
) -> None:
    """Change an account's tier."""
    with connect(url) as admin:
        changed = admin.patch(f"/v1/admin/accounts/{admin.account(account)['id']}", tier=tier)
    print(f"{changed['name']} is of the tier {changed['tier']}", file=sys.stderr)


@app.command()
def suspend(account: Account, url: Url = None) -> None:
    """Have its keys be refused, until it is resumed."""
    with connect(url) as admin:
        changed = admin.patch(f"/v1/admin/accounts/{admin.account(account)['id']}", suspended=True)
    print(f"suspended: {changed['name']}", file=sys.stderr)


@app.command()
def resume(account: Account, url: Url = None) -> None:
    """Have its keys be taken again."""
    with connect(url) as admin:
        changed = admin.patch(f"/v1/admin/accounts/{admin.account(account)['id']}", suspended=False)
    print(f"resumed: {changed['name']}", file=sys.stderr)
