"""/v1/account and /v1/keys: what who has a key may know of its account, and the account's keys, which it manages.

A key manages those that may do no more than itself, so that nobody comes to more by way of another key. One with
limits of its own manages itself alone, and makes none: two of them might do twice as much.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, jsonify

from gateway.api.accounts import account_json, bounds_of, date_of, found, key_json, let_in, naming
from gateway.api.query import Page, forced, query
from gateway.api.requests import json_body, key_holder
from gateway.auth import Keyring
from gateway.bodies.admin import KeyChange, KeyFields, OwnKey
from gateway.bodies.shapes import fit, refusal
from gateway.limits import NAMES
from gateway.outages import reaching_queue
from gateway.threads import Threads
from shared.accounts import BOUNDS, Account, Accounts, Key
from shared.catalog import Catalog
from shared.errors import InvalidKey, KeyTooNarrow
from shared.lines import Lines, Window
from shared.tiers import Limits, Tiers


def keys_api(desk: "KeyDesk") -> Blueprint:
    api = Blueprint("keys", __name__)
    api.before_request(desk.holders_only)
    for method, rule, view in (
        ("GET", "/account", desk.read_account),
        ("GET", "/keys", desk.list_keys),
        ("POST", "/keys", desk.create_key),
        ("PATCH", "/keys/<key_id>", desk.change_key),
        ("DELETE", "/keys/<key_id>", desk.revoke_key),
    ):
        api.add_url_rule(f"/v1{rule}", view.__name__, view, methods=[method])
    return api


@dataclass(frozen=True)
class KeyDesk:
    """Answers whoever has a key, one method for each address."""

    keyring: Keyring
    accounts: Accounts
    threads: Threads
    catalog: Catalog
    tiers: Tiers
    lines: Lines

    def holders_only(self) -> None:
        """Before each request. Raises InvalidKey, NotFound, and what else Keyring.holder does."""
        let_in(lambda: key_holder(self.keyring))

    def read_account(self) -> Response:
        query()
        account, own = self._account(), self._own()
        tier = self.tiers.find(account.tier) if self.tiers.has(account.tier) else None
        with reaching_queue():
            told: dict[str, Any] = {"limits": self._used(account.id, tier.limits if tier else Limits())}
            told["key_limits"] = self._used(own.id, own.limits) if own.limits else None
        return jsonify(account_json(account) | told | {"key": key_json(own)})

    def list_keys(self) -> Response:
        page, account = Page.of(query("limit", "after")), g.holder.account
        find = partial(self.accounts.list_keys, account=account, after=page.after, limit=page.limit + 1)
        return jsonify(page.listed(list(map(key_json, self.threads.ask(find)))))

    def create_key(self) -> Response:
        query()
        body, account, own = fit(OwnKey, json_body()), self._account(), self._own()
        if own.limits is not None:
            raise KeyTooNarrow("Your API key has limits of its own, and makes none: two might do twice as much.")
        bounds = _bounds_of(own) | self._bounds(body, account)
        check_within(own, bounds)
        create = partial(self.accounts.add_key, account, body.name or account.name, by=own, **bounds)
        with naming():
            made = self.threads.ask(create)
        return jsonify(key_json(made) | {"secret": made.secret})

    def change_key(self, key_id: str) -> Response:
        force, body = forced(), fit(KeyChange, json_body())
        account, own = self._account(), self._own()
        key = self._managed(own, key_id)
        bounds = self._bounds(body, account)
        check_within(own, _bounds_of(key) | bounds)
        changes = bounds | ({"name": body.name} if body.name else {})
        with naming():
            changed = self.threads.ask(lambda: self.accounts.change_key(key.id, changes, force=force))
        return jsonify(key_json(found(changed, "key")))

    def revoke_key(self, key_id: str) -> Response:
        force, key = forced(), self._managed(self._own(), key_id)
        revoked = self.threads.ask(lambda: self.accounts.revoke_key(key.id, force=force))
        return jsonify(key_json(found(revoked, "key")))

    def _managed(self, own: Key, key_id: str) -> Key:
        """A key of the account. Raises NotFound, and KeyTooNarrow if one's own does not manage it."""
        key = self.threads.ask(lambda: self.accounts.key(key_id))
        key = found(key if key and key.account == own.account else None, "key")
        if key.id != own.id:
            if own.limits is not None:
                raise KeyTooNarrow("Your API key has limits of its own, and manages no other key.")
            if key.admin and not own.admin:
                raise KeyTooNarrow("This is an admin's key, which admins' keys alone manage.")
            check_within(own, _bounds_of(key))
        return key

    def _account(self) -> Account:
        return found(self.threads.ask(partial(self.accounts.account, g.holder.account)), "account")

    def _own(self) -> Key:
        """One's own key as it is now: what is remembered of it may be a second old."""
        own = self.threads.ask(partial(self.accounts.key, g.holder.key))
        if own is None or own.revoked is not None:
            raise InvalidKey
        return own

    def _bounds(self, body: KeyFields, account: Account) -> dict[str, Any]:
        """As an admin's, and with limits that are no higher than the account's, where they would say nothing."""
        bounds = bounds_of(body, account.tier, self.catalog, self.tiers)
        if self.tiers.has(account.tier) and (limits := bounds.get("limits")):
            most = self.tiers.find(account.tier).limits
            for name, limit in limits.model_dump(exclude_none=True).items():
                if (own := getattr(most, name)) is not None and limit > own:
                    raise refusal(f"limits.{name}", f"should be at most the account's, {own}, got {limit}")
        return bounds

    def _used(self, scope: str, limits: Limits) -> dict[str, dict[str, Any]]:
        running, windows = self.lines.used(scope, time.time())
        return _told(limits, running, windows)


def check_within(own: Key, bounds: dict[str, Any]) -> None:
    """A key of these bounds may do no more than one's own. Raises KeyTooNarrow, which names what is more."""
    for name in ("models", "tiers"):
        mine, theirs = getattr(own, name), bounds[name]
        if mine is not None and (theirs is None or not set(theirs) <= set(mine)):
            raise KeyTooNarrow(f"{name}: your own API key is for {', '.join(mine) or 'none'} alone.", param=name)
    if own.expires is not None and (bounds["expires"] is None or bounds["expires"] > own.expires):
        raise KeyTooNarrow(f"expires: your own API key ends before, at {date_of(own.expires)}.", param="expires")
    mine = own.limits.model_dump(exclude_none=True) if own.limits else {}
    for name, most in mine.items():
        limit = getattr(bounds["limits"], name, None)
        if limit is None or limit > most:
            raise KeyTooNarrow(f"limits.{name}: your own API key has {most}.", param=f"limits.{name}")


def _bounds_of(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in BOUNDS}


def _told(limits: Limits, running: int, windows: Sequence[Window]) -> dict[str, dict[str, Any]]:
    """Each limit, None if there is none, with what is used of it; and in how many seconds that begins anew."""
    told = {}
    spans = {NAMES[window.seconds]: window for window in windows}
    for name in Limits.model_fields:
        what, _, span = name.partition("_per_")
        used, resets = (getattr(spans[span], what), round(spans[span].resets, 3)) if span else (running, None)
        told[name] = {"limit": getattr(limits, name), "used": used, "resets": resets}
    return told
