"""The admin API, for those whose keys are admins': accounts, keys and tiers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from flask import Blueprint, Response, g, jsonify

from gateway.api.accounts import account_json, bounds_of, found, key_json, let_in, naming, tier_of
from gateway.api.query import Page, forced, query
from gateway.api.requests import admin_holder, json_body
from gateway.auth import Keyring
from gateway.bodies.admin import AccountChange, KeyChange, NewAccount, NewKey
from gateway.bodies.shapes import fit, refusal
from gateway.threads import Threads
from shared.accounts import Account, Accounts, Key
from shared.catalog import Catalog
from shared.tiers import Tier, Tiers

T = TypeVar("T")


def admin_api(desk: "AdminDesk") -> Blueprint:
    api = Blueprint("admin", __name__)
    api.before_request(desk.admins_only)
    for method, rule, view in (
        ("GET", "/accounts", desk.list_accounts),
        ("POST", "/accounts", desk.create_account),
        ("GET", "/accounts/<account_id>", desk.read_account),
        ("PATCH", "/accounts/<account_id>", desk.change_account),
        ("GET", "/accounts/<account_id>/keys", desk.list_keys_of),
        ("POST", "/accounts/<account_id>/keys", desk.create_key),
        ("GET", "/keys", desk.list_keys),
        ("GET", "/keys/<key_id>", desk.read_key),
        ("PATCH", "/keys/<key_id>", desk.change_key),
        ("DELETE", "/keys/<key_id>", desk.revoke_key),
        ("GET", "/tiers", desk.list_tiers),
    ):
        api.add_url_rule(f"/v1/admin{rule}", view.__name__, view, methods=[method])
    return api


@dataclass(frozen=True)
class AdminDesk:
    """Answers admins, one method for each of their addresses."""

    keyring: Keyring
    accounts: Accounts
    threads: Threads
    catalog: Catalog
    tiers: Tiers

    def admins_only(self) -> None:
        """Before each request. Raises InvalidKey, AdminRequired, NotFound, and what else Keyring.holder does."""
        let_in(lambda: admin_holder(self.keyring))

    def list_accounts(self) -> Response:
        given = query("limit", "after", "name")
        page, name = Page.of(given), given.get("name")
        return self._page(
            page, account_json, lambda limit: self.accounts.list_accounts(name=name, after=page.after, limit=limit)
        )

    def create_account(self) -> Response:
        body = fit(NewAccount, json_body())
        tier = tier_of(self.tiers, body.tier)
        with naming():
            made = self.threads.ask(lambda: self.accounts.create_account(body.name, tier.id))
        return jsonify(account_json(made))

    def read_account(self, account_id: str) -> Response:
        return jsonify(account_json(self._account(account_id)))

    def change_account(self, account_id: str) -> Response:
        body = fit(AccountChange, json_body())
        tier = None if body.tier is None else tier_of(self.tiers, body.tier).id
        if body.suspended and account_id == g.holder.account:
            raise refusal("suspended", "should be left out: the account is your own, and you would be locked out")
        change = partial(self.accounts.change_account, account_id, tier=tier, suspended=body.suspended)
        return jsonify(account_json(found(self.threads.ask(change), "account")))

    def list_keys_of(self, account_id: str) -> Response:
        self._account(account_id)
        return self._keys(account_id)

    def create_key(self, account_id: str) -> Response:
        body, account = fit(NewKey, json_body()), self._account(account_id)
        if not body.admin and not self.tiers.has(account.tier):
            # An admin's key is good for something all the same.
            raise refusal(
                "tier",
                f"the account's, '{account.tier}', is gone, and a key would be of no use. Change "
                f"it first: crofai accounts set '{account.name}' --tier, and one of {self.tiers.names}",
            )
        bounds = bounds_of(body, account.tier, self.catalog, self.tiers)
        create = partial(self.accounts.add_key, account, body.name or account.name, admin=body.admin, **bounds)
        with naming():
            made = self.threads.ask(create)
        return jsonify(key_json(made) | {"secret": made.secret})

    def list_keys(self) -> Response:
        return self._keys(None)

    def read_key(self, key_id: str) -> Response:
        return jsonify(key_json(self._key(key_id)))

    def change_key(self, key_id: str) -> Response:
        force, body, key = forced(), fit(KeyChange, json_body()), self._key(key_id)
        changes = bounds_of(body, key.tier, self.catalog, self.tiers) | ({"name": body.name} if body.name else {})
        with naming():
            changed = self.threads.ask(lambda: self.accounts.change_key(key_id, changes, force=force))
        return jsonify(key_json(found(changed, "key")))

    def revoke_key(self, key_id: str) -> Response:
        revoke = partial(self.accounts.revoke_key, key_id, force=forced())
        return jsonify(key_json(found(self.threads.ask(revoke), "key")))

    def list_tiers(self) -> Response:
        query()
        return jsonify(object="list", data=list(map(tier_json, self.tiers.all)))

    def _keys(self, account: str | None) -> Response:
        page = Page.of(query("limit", "after"))
        return self._page(
            page, key_json, lambda limit: self.accounts.list_keys(account=account, after=page.after, limit=limit)
        )

    def _page(self, page: Page, told: Callable[[T], dict[str, Any]], find: Callable[[int], list[T]]) -> Response:
        # One more than is wanted, to know whether there are any.
        entries = self.threads.ask(lambda: find(page.limit + 1))
        return jsonify(page.listed(list(map(told, entries))))

    def _account(self, account_id: str) -> Account:
        return found(self.threads.ask(lambda: self.accounts.account(account_id)), "account")

    def _key(self, key_id: str) -> Key:
        return found(self.threads.ask(lambda: self.accounts.key(key_id)), "key")


def tier_json(tier: Tier) -> dict[str, Any]:
    return {"object": "tier"} | tier.model_dump()
