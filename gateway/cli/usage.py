"""`crofai usage`: what was used, by day, model, key and account."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli import api, tables
from gateway.cli.admin import Admin, find_key
from gateway.cli.api import Url
from gateway.cli.failures import CommandFailed
from shared.settings import load_settings

BY = ("day", "model", "key", "account")
COUNTS = ("requests", "prompt_tokens", "completion_tokens", "image_steps", "images", "units")


def usage(
    by: Annotated[str, typer.Option(help="Some of day, model, key and account.")] = "day,model",
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Such as 2026-01-31; default: 30 days.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day; default: today.")] = None,
    account: Annotated[str | None, typer.Option(help="Only this account's; default: all.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="CROFAI_KEY", help="Its own account's alone; default: the admin's key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    url: Url = None,
) -> None:
    """What was used, by days of UTC."""
    if as_json and as_csv:
        raise CommandFailed("give --json or --csv, not both")
    settings = load_settings()
    secret = api.find_key(key, settings) if key else find_key(settings)[0]
    with api.client(url or api.base_url(settings), secret, read_timeout=60) as client:
        asked = {"by": by, "from": since, "to": until, "account": _whose(Admin(client), account, bool(key))}
        query = {name: value for name, value in asked.items() if value is not None}
        if as_csv:
            query["format"] = "csv"
        with api.plain_errors(client.base_url):
            response = client.get("/v1/usage", params=query)
            api.check(response)
    if as_csv:
        print(response.text, end="")
        return
    _show(response.json()["data"], as_json)


def _whose(admin: Admin, account: str | None, own: bool) -> str | None:
    if account is not None:
        return str(admin.account(account)["id"])
    return None if own else "all"


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    names = [name for name in BY if rows and name in rows[0]]
    tables.show(
        [name.replace("_", " ") for name in (*names, *COUNTS)],
        ([*(_told(row, name) for name in names), *(f"{row[name]:,}" for name in COUNTS)] for row in rows),
    )


def _told(row: dict[str, Any], name: str) -> str:
    """An account by its name; a key by its own, which others may have, and its id."""
    given, called = row[name], row.get(f"{name}_name")
    if called is None:
        return escape(given)
    return escape(called if name == "account" else f"{called} ({given})")
