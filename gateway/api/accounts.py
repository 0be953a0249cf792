"""How accounts and keys are told, and what a key may be bound to, for admins and for who has an account."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import g, request

from gateway.bodies.admin import KeyFields
from gateway.bodies.shapes import refusal
from shared.accounts import Account, Holder, Key
from shared.catalog import Catalog
from shared.errors import InvalidName, ModelNotFound, NotFound, UnknownTier
from shared.tiers import Tier, Tiers

T = TypeVar("T")


def let_in(find: Callable[[], Holder]) -> None:
    """Before a request: `g.holder` is who asks. Raises what `find` does, and NotFound for what is no id."""
    if request.method == "OPTIONS":
        return  # a browser asks, before it sends a key, whether it may
    g.holder = find()
    if any("\0" in name for name in (request.view_args or {}).values()):
        raise NotFound  # PostgreSQL has no such text, and would be taken for broken


def bounds_of(body: KeyFields, tier: str, catalog: Catalog, tiers: Tiers) -> dict[str, Any]:
    """What a key of an account of this tier is to be bound to. Raises InvalidRequest."""
    bounds = body.bounds
    if bounds.get("models") is not None:
        bounds["models"] = [_model(catalog, name, place) for place, name in enumerate(bounds["models"])]
    for place, name in enumerate(bounds.get("tiers") or ()):
        param = f"tiers[{place}]"
        if not tiers.may_use(tier_of(tiers, tier), tier_of(tiers, name, param)):
            raise refusal(param, f"should be one that the account's tier, '{tier}', may use, got '{name}'")
    expires = bounds.get("expires")
    if expires is not None and expires <= time.time():
        raise refusal("expires", f"should be in the future; {expires:.15g} is {date_of(expires)}")
    return bounds


def date_of(moment: float) -> str:
    """A moment, in Unix seconds, for people."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def account_json(account: Account) -> dict[str, Any]:
    return {"object": "account"} | asdict(account)


def key_json(key: Key) -> dict[str, Any]:
    """A key as it is listed: without its secret."""
    limits = key.limits.model_dump() if key.limits else None
    fields = {name: getattr(key, name) for name in Key.__dataclass_fields__}
    return {"object": "key"} | fields | {"limits": limits}


def _model(catalog: Catalog, name: str, place: int) -> str:
    try:
        return catalog.find(name).id
    except ModelNotFound as error:
        raise refusal(f"models[{place}]", str(error)) from None


def tier_of(tiers: Tiers, name: str, param: str = "tier") -> Tier:
    try:
        return tiers.find(name)
    except UnknownTier as error:
        raise refusal(param, str(error)) from None


@contextmanager
def naming() -> Iterator[None]:
    """What is no name is the mistake of a field."""
    try:
        yield
    except InvalidName as error:
        raise refusal("name", str(error)) from None


def found(entry: T | None, what: str) -> T:
    """It, if it is there. Raises NotFound."""
    if entry is None:
        raise NotFound(f"There is no {what} of this id.")
    return entry
