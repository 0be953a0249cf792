"""`crofai tiers`: what accounts may be."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from rich.markup import escape

from gateway.cli import tables
from gateway.cli.admin import AsJson, connect
from gateway.cli.api import Url
from shared.tiers import Limits, Tier

BESIDE = {"object", "id", "limits", "description"}  # fields that have no line in the table


def tiers(as_json: AsJson = False, url: Url = None) -> None:
    """List the tiers with all that they have, a column for each; CROFAI_TIERS_FILE changes them."""
    with connect(url) as admin:
        found = admin.get("/v1/admin/tiers")["data"]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    found.sort(key=lambda tier: int(tier["priority"]))
    fields = _in_order(found[0].keys() - BESIDE, Tier)
    limits = _in_order(found[0]["limits"], Limits)
    tables.show(
        ("tier", *(escape(tier["id"]) for tier in found)),
        (
            *((_name(field), *(_told(field, tier[field]) for tier in found)) for field in fields),
            *((_name(limit), *(_told(limit, tier["limits"][limit]) for tier in found)) for limit in limits),
        ),
    )
    print()
    tables.show(("tier", "description"), ((escape(tier["id"]), escape(tier["description"])) for tier in found))


def _in_order(names: Iterable[str], shape: type[BaseModel]) -> list[str]:
    """In that of the shape; those that it does not know, of a server of another version, last."""
    known = list(shape.model_fields)
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def _name(field: str) -> str:
    return field.replace("_per_", "/").replace("_", " ")


def _told(field: str, value: Any) -> str:
    if field == "models":
        return "all" if value is None else "\n".join(map(escape, value)) or "none"
    if value is None:
        return "-"
    if field == "reserved":
        return f"{value:.0%}"
    if field == "longest_wait":
        return f"{value:g} s"
    return f"{value:,}" if isinstance(value, int | float) else escape(str(value))
