"""`crofai usage`: what was used, by day, model, key and account."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from gateway.cli import api, tables
from gateway.cli.admin import Admin
from gateway.cli.admin import find_key as find_admin_key
from gateway.cli.api import Url
from gateway.cli.failures import CommandFailed
from shared.settings import Settings, load_settings

BY = ("day", "model", "key", "account")
COUNTS = ("requests", "prompt_tokens", "completion_tokens", "image_steps", "images", "units")
DAY_HELP = "Such as 2026-01-31, or 7d: seven days back"


def usage(
    by: Annotated[str, typer.Option(help="Some of day, model, key and account.")] = "day,model",
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help=f"{DAY_HELP}; default: 30 days.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help=f"The last day: {DAY_HELP.lower()}; default: today.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only this account's; default: all.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="CROFAI_KEY",
            help="Its own account's alone; default: the admin's key, or else this machine's demo key.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    url: Url = None,
) -> None:
    """What was used, by days of UTC."""
    if as_json and as_csv:
        raise CommandFailed("give --json or --csv, not both")
    settings = load_settings()
    secret, own = _key(key, settings)
    with api.client(url or api.base_url(settings), secret, read_timeout=60) as client:
        span = {"from": _day(since), "to": _day(until)}
        asked = {"by": by, **span, "account": _whose(Admin(client), account, own)}
        query = {name: value for name, value in asked.items() if value is not None}
        if as_csv:
            query["format"] = "csv"
        with api.plain_errors(client.base_url):
            response = client.get("/v1/usage", params=query)
            api.check(response)
    if as_csv:
        print(response.text, end="")
        return
    _show(api.data(response), as_json)


def _key(given: str | None, settings: Settings) -> tuple[str, bool]:
    """The key to send, and whether it is for its own account's usage alone."""
    if given:
        return api.find_key(given, settings), True
    try:
        return find_admin_key(settings)[0], False
    except CommandFailed as none:
        try:
            return api.find_key(None, settings), True
        except CommandFailed:
            raise CommandFailed(f"{none}. Or give a key of your own: --key or CROFAI_KEY") from None


def _day(said: str | None) -> str | None:
    """Days back, as the day that it was; anything else as it is."""
    if said is None or not re.fullmatch("[0-9]{1,4}d", said):
        return said
    return f"{datetime.now(UTC) - timedelta(days=int(said[:-1])):%Y-%m-%d}"


def _whose(admin: Admin, account: str | None, own: bool) -> str | None:
    if account is not None:
        return str(admin.account(account)["id"])
    return None if own else "all"


def _show(report: dict[str, Any], as_json: bool) -> None:
    rows: list[dict[str, Any]] = report["data"]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    names = [name for name in BY if rows and name in rows[0]]
    shown = [[*(_told(row, name) for name in names), *_counts(row)] for row in rows]
    if len(rows) > 1:
        sums = {name: sum(row[name] for row in rows) for name in COUNTS}
        shown.append([*(["total", "", "", ""][: len(names)]), *_counts(sums)])
    tables.show([name.replace("_", " ") for name in (*names, *COUNTS)], shown)
    if not rows:
        print(f"Nothing was used from {report['from']} to {report['to']}.", file=sys.stderr)


def _counts(row: dict[str, Any]) -> list[str]:
    return [f"{row[name]:,}" for name in COUNTS]


def _told(row: dict[str, Any], name: str) -> str:
    """An account by its name; a key by its own, which others may have, and its id."""
    given, called = row[name], row.get(f"{name}_name")
    if called is None:
        return tables.cell(given)
    return tables.cell(called if name == "account" else f"{called} ({given})")
