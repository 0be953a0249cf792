"""What was used: sums by day, model and key, and job by job. Of one's own account; admins may ask for others."""

import csv
import io
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from flask import Blueprint, Response, jsonify

from gateway.api.query import Page, query
from gateway.api.requests import key_holder
from gateway.auth import Keyring
from gateway.bodies.shapes import refusal
from gateway.threads import Threads
from shared.accounts import Holder
from shared.errors import AdminRequired
from shared.ledger import By, Ledger, Sum, UsageRow, day

DAY = 86_400.0  # seconds
USUAL = 30  # days
MOST_DAYS = 366
FIRST_DAY = 0.0  # 1970-01-01: no job is older
ALL = "all"  # accounts
BY: tuple[By, ...] = get_args(By)


def usage_api(keyring: Keyring, ledger: Ledger, threads: Threads) -> Blueprint:
    api = Blueprint("usage", __name__)

    @api.get("/v1/usage")
    def report() -> Response:
        holder = key_holder(keyring)
        given = query("by", "from", "to", "account", "format")
        by, (since, until) = _by(given.get("by", "day,model")), _span(given)
        shape = given.get("format", "json")
        if shape not in ("json", "csv"):
            raise refusal("format", f"should be 'json' or 'csv', got {shape[:20]!r}")
        account = _account(holder, given, everybody="account" in by)
        sums = threads.ask(lambda: ledger.report(account, since, until, by))
        rows = [_sum(each, by) for each in sums]
        if shape == "csv":
            return Response(_csv(rows, by), mimetype="text/csv")
        return jsonify({"object": "list", "from": _day(since), "to": _day(until - DAY), "data": rows})

    @api.get("/v1/usage/jobs")
    def jobs() -> Response:
        holder = key_holder(keyring)
        given = query("from", "to", "account", "limit", "after")
        page, (since, until) = Page.of(given), _span(given)
        account = _account(holder, given, everybody=False)
        rows = threads.ask(lambda: ledger.rows(account, since, until, page.after, page.limit + 1))
        return jsonify(page.listed(list(map(_job, rows))))

    return api


def _account(holder: Holder, given: dict[str, str], *, everybody: bool) -> str | None:
    """Whose usage is asked for; None is everybody's. Raises AdminRequired."""
    account = given.get("account", ALL if everybody else holder.account)
    if account != holder.account and not holder.admin:
        raise AdminRequired("This needs an admin's key: it asks for others' usage.", param="account")
    return None if account == ALL else account


def _by(text: str) -> tuple[By, ...]:
    names = text.split(",")
    for name in names:
        if name not in BY or names.count(name) > 1:
            takes = f"should be some of {', '.join(BY)}, each once, with commas between them"
            raise refusal("by", f"{takes}, got {text[:40]!r}")
    return tuple(name for name in BY if name in names)


def _span(given: dict[str, str]) -> tuple[float, float]:
    """From the first day's beginning to the last one's end, in Unix seconds."""
    today = time.time() // DAY * DAY
    last = _date(given, "to", today)
    first = _date(given, "from", max(FIRST_DAY, last - (USUAL - 1) * DAY))
    if not first <= last < first + MOST_DAYS * DAY:
        raise refusal("from", f"should be a day up to {_day(last)}, and at most {MOST_DAYS - 1} days before it")
    return first, last + DAY


def _date(given: dict[str, str], name: str, usual: float) -> float:
    if name not in given:
        return usual
    with suppress(ValueError):
        if (begins := day(given[name])) >= FIRST_DAY:
            return begins
    takes = f"should be a day of UTC, such as 2026-01-31, from {_day(FIRST_DAY)} on"
    raise refusal(name, f"{takes}, got {given[name][:20]!r}")


def _day(begins: float) -> str:
    return datetime.fromtimestamp(begins, UTC).strftime("%Y-%m-%d")


def _columns(by: tuple[By, ...]) -> list[str]:
    """In the order in which they are told, whatever the order in which they were asked for."""
    left_out = {name for name in BY if name not in by}
    return [name for name in Sum.__dataclass_fields__ if name.removesuffix("_name") not in left_out]


def _sum(found: Sum, by: tuple[By, ...]) -> dict[str, Any]:
    return {name: getattr(found, name) for name in _columns(by)}


def _csv(rows: list[dict[str, Any]], by: tuple[By, ...]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, _columns(by))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _job(row: UsageRow) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    ttft = None if row.first is None else round(row.first - row.created, 4)
    return {"id": fields.pop("job"), "object": "usage.job"} | fields | {"ttft_seconds": ttft}
