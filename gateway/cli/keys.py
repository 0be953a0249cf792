"""`crofai keys`: make, list, change and revoke API keys."""

import json
import re
import sys
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli import tables
from gateway.cli.admin import USUAL_TIER, Admin, AsJson, connect, date
from gateway.cli.api import Url
from gateway.cli.failures import CommandFailed
from shared.key_format import LATEST, MOST_NAME

app = typer.Typer(invoke_without_command=True)

UNITS = {"m": 60, "h": 3600, "d": 86_400}  # seconds

Models = Annotated[list[str] | None, typer.Option("--model", help="Only this model; may be repeated.")]
Tiers = Annotated[
    list[str] | None, typer.Option("--only", metavar="TIER", help="Only this tier; may be repeated.")
]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=NUMBER", help="Such as requests_per_minute=10; may be repeated."),
]
Force = Annotated[bool, typer.Option("--force", help="Though no other admin's key is valid then.")]
Expires = Annotated[str | None, typer.Option(metavar="WHEN", help="Such as 30d, 12h, 30m, 2026-12-31, or never.")]


@app.callback()
def default(context: typer.Context, as_json: AsJson = False, url: Url = None) -> None:
    if context.invoked_subcommand is None:
        list_keys(as_json=as_json, url=url)


@app.command()
def create(
    account: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help=f"Whose key it is, in up to {MOST_NAME} characters. An account of this name is made if need be.",
        ),
    ],
    tier: Annotated[
        str | None, typer.Option(help=f"The account's tier; {USUAL_TIER}, for a new one. See: crofai tiers")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The key's own name; default: the account's.")] = None,
    model: Models = None,
    only: Tiers = None,
    limit: Limits = None,
    expires: Expires = None,
    admin: Annotated[bool, typer.Option("--admin", help="It may manage accounts and keys.")] = False,
    url: Url = None,
) -> None:
    """Make a key. It is printed once and cannot be shown again."""
    wanted = _bounds(model, only, limit, expires) | ({"admin": True} if admin else {})
    with connect(url) as server:
        owner = _owner(server, account, tier)
        key = server.post(f"/v1/admin/accounts/{owner['id']}/keys", name=name, **wanted)
    whose = f"a {owner['tier']} key for {owner['name']}{_until(key)}"
    print(f"{key['id']}: {whose}, shown only this once:", file=sys.stderr)
    print(key["secret"])


@app.command("list")
def list_keys(
    account: Annotated[str | None, typer.Option(help="Only those of this account.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """All keys, oldest first."""
    with connect(url) as server:
        path = f"/v1/admin/accounts/{server.account(account)['id']}/keys" if account else "/v1/admin/keys"
        keys = server.all(path)
    if as_json:
        print(json.dumps(keys, indent=2))
        return
    tables.show(
        ("id", "account", "name", "tier", "bounds", "created", "expires", "last used", "revoked"),
        (
            (
                key["id"],
                escape(key["account_name"]),
                escape(key["name"]),
                key["tier"],
                escape(_told(key)),
                *(date(key[moment]) for moment in ("created", "expires", "last_used", "revoked")),
            )
            for key in keys
        ),
    )


@app.command("set")
def change(
    key: Annotated[str, typer.Argument(metavar="ID", help="A key's id.")],
    name: Annotated[str | None, typer.Option(help="A name for it.")] = None,
    model: Models = None,
    only: Tiers = None,
    limit: Limits = None,
    expires: Expires = None,
    unbound: Annotated[
        bool, typer.Option("--unbound", help="Take back all bounds not given beside this.")
    ] = False,
    force: Force = False,
    url: Url = None,
) -> None:
    """Change what a key is for."""
    free: dict[str, Any] = dict.fromkeys(("models", "tiers", "limits", "expires")) if unbound else {}
    wanted = free | _bounds(model, only, limit, expires) | ({"name": name} if name else {})
    if not wanted:
        raise CommandFailed("nothing to change was given. Try: crofai keys set --help")
    with connect(url) as server:
        changed = server.patch(f"/v1/admin/keys/{_key_id(key)}", force=force, **wanted)
    print(f"changed: {changed['id']} ({_told(changed)}){_until(changed)}", file=sys.stderr)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="A key's id, or a name to revoke all its keys.")],
    force: Force = False,
    url: Url = None,
) -> None:
    """Make a key invalid, for good."""
    with connect(url) as server:
        valid = [each for each in server.all("/v1/admin/keys") if each["revoked"] is None]
        meant = [each for each in valid if key in (each["id"], each["name"])]
        if not meant:
            raise CommandFailed(f"there is no valid key '{key}'. Try: crofai keys list")
        for each in meant:
            server.delete(f"/v1/admin/keys/{each['id']}", force=force)
            print(f"revoked: {each['id']}", file=sys.stderr)
    if force and any(each["admin"] for each in meant):
        print("If no admin's key is left, restart the gateway: it makes one.", file=sys.stderr)


def _owner(server: Admin, name: str, tier: str | None) -> dict[str, Any]:
    """The account of this name, which is made if there is none."""
    found = server.named(name)
    if found is None:
        made: dict[str, Any] = server.post("/v1/admin/accounts", name=name, tier=tier or server.usual_tier())
        return made
    if tier not in (None, found["tier"]):
        raise CommandFailed(
            f"the account '{name}' is of the tier '{found['tier']}', not '{tier}'. "
            f"Change it with: crofai accounts set '{name}' --tier {tier}"
        )
    return found


def _bounds(
    models: list[str] | None, tiers: list[str] | None, limits: list[str] | None, expires: str | None
) -> dict[str, Any]:
    """Those that were given, as the server takes them."""
    bounds: dict[str, Any] = {}
    if models:
        bounds["models"] = models
    if tiers:
        bounds["tiers"] = tiers
    if limits:
        bounds["limits"] = dict(map(_limit, limits))
    if expires:
        bounds["expires"] = _moment(expires)
    return bounds


def _limit(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number:
        raise CommandFailed(f"--limit {text}: should be a limit's name and a number, such as requests_per_day=100")
    if not re.fullmatch("[0-9]{1,15}", number) or not int(number):
        raise CommandFailed(f"--limit {text}: should be a whole number above 0, and of at most 15 digits")
    return name, int(number)


def _moment(text: str) -> float | None:
    """When a key is to expire, in Unix seconds."""
    if text == "never":
        return None
    if found := re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text):
        return time.time() + int(found[1]) * UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise CommandFailed(
            f"--expires {text}: should be minutes, hours or days from now on (30m, 12h, 30d), a date "
            "(2026-12-31), or never"
        ) from None
    if moment <= time.time():
        raise CommandFailed(f"--expires {text}: should be in the future")
    if moment > LATEST:
        raise CommandFailed(f"--expires {text}: should be no later than {date(LATEST)}, or never")
    return moment


def _told(key: dict[str, Any]) -> str:
    """What bounds a key, in a few words."""
    limits = [f"{name}={value}" for name, value in (key["limits"] or {}).items() if value is not None]
    scopes = [f"{name} {','.join(key[name]) or 'none'}" for name in ("models", "tiers") if key[name] is not None]
    return "; ".join([*(["admin"] if key["admin"] else []), *scopes, *limits]) or "-"


def _until(key: dict[str, Any]) -> str:
    return "" if key["expires"] is None else f", until {date(key['expires'])}"


def _key_id(text: str) -> str:
    if not re.fullmatch(r"key_[0-9a-z]{1,32}", text):
        raise CommandFailed(f"'{text}' is no key's id, such as key_0123456789abcdef. Try: crofai keys list")
    return text
