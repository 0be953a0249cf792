"""The admin API: who may use it, what it takes, what it answers; and that it does what it says."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from gateway.admin_key import admin_key_file
from gateway.app import create_gateway
from gateway.openapi import document
from shared.accounts import Accounts
from shared.key_format import PREFIX
from shared.settings import Settings

DESCRIBED = document(600, ["premium", "free"])


class Api:
    """A client of a gateway without Redis; what it answers is held against its description."""

    def __init__(self, client: FlaskClient, accounts: Accounts, key: str) -> None:
        self.client = client
        self.accounts = accounts
        self.key = key

    def __call__(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        response = self.client.open(f"/v1/admin/{path}", method=method, json=body, headers=headers)
        return response.status_code, response.get_json()

    def made(self, name: str = "ann", tier: str = "premium") -> dict[str, Any]:
        status, account = self("POST", "accounts", {"name": name, "tier": tier})
        assert status == 200
        described("Account", account)
        return dict(account)


def described(name: str, value: Any) -> None:
    Draft202012Validator(
        DESCRIBED["components"]["schemas"][name] | {"components": DESCRIBED["components"]}
    ).validate(value)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    settings = Settings(data_dir=tmp_path)
    gateway = create_gateway(settings)
    yield Api(gateway.app.test_client(), Accounts(settings.sql_url), admin_key_file(tmp_path).read_text().strip())


def test_it_is_for_admins_alone(api: Api) -> None:
    assert api.client.get("/v1/admin/accounts").status_code == 401
    assert api("GET", "accounts", key="sk-crof-wrong")[0] == 401
    status, body = api("GET", "accounts", key=api.accounts.create_key("bob", "premium").secret)
    assert (status, body["error"]["code"]) == (403, "admin_required")
    for method, path in (("POST", "accounts"), ("DELETE", "keys/x"), ("GET", "tiers"), ("PATCH", "accounts/x")):
        assert api(method, path, {}, key="sk-crof-wrong")[0] == 401


def test_browsers_may_ask_beforehand_without_a_key(api: Api) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "PATCH"}
    answer = api.client.options("/v1/admin/accounts/x", headers=headers)
    assert answer.status_code == 200
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]


def test_an_account_is_made_read_changed_and_listed(api: Api) -> None:
    ann = api.made()
    assert (ann["name"], ann["tier"], ann["suspended"]) == ("ann", "premium", None)
    path = f"accounts/{ann['id']}"
    assert api("GET", path) == (200, ann)
    status, changed = api("PATCH", path, {"tier": "free", "suspended": True})
    assert (status, changed["tier"]) == (200, "free")
    assert time.time() - changed["suspended"] < 60
    assert api("PATCH", path, {"suspended": False}) == (200, ann | {"tier": "free"})
    status, listed = api("GET", "accounts?name=ann")
    described("Accounts", listed)
    assert (status, listed["data"]) == (200, [ann | {"tier": "free"}])
    assert api("GET", "accounts?name=nobody")[1]["data"] == []


def test_a_key_is_made_and_its_secret_told_once(api: Api) -> None:
    ann = api.made()
    bounds = {"models": ["LLAMA3-8b"], "tiers": ["free"], "limits": {"units_per_day": 5}, "expires": 4e9}
    status, made = api("POST", f"accounts/{ann['id']}/keys", bounds | {"name": "ci"})
    assert status == 200
    described("KeyMade", made)
    secret = made.pop("secret")
    assert secret.startswith(PREFIX)
    assert (made["models"], made["tiers"], made["expires"], made["admin"]) == (["llama3"], ["free"], 4e9, False)
    assert made["limits"]["units_per_day"] == 5
    assert (made["name"], made["account_name"], made["tier"]) == ("ci", "ann", "premium")
    assert api("GET", f"keys/{made['id']}") == (200, made)
    status, listed = api("GET", f"accounts/{ann['id']}/keys")
    described("Keys", listed)
    assert listed["data"] == [made]
    assert secret not in str(api("GET", "keys"))
    holder = api.accounts.find(secret)
    assert holder is not None
    assert (holder.models, holder.tiers) == (frozenset({"llama3"}), frozenset({"free"}))


def test_a_key_without_bounds_is_its_accounts(api: Api) -> None:
    made = api("POST", f"accounts/{api.made()['id']}/keys", {})[1]
    assert (made["name"], made["models"], made["tiers"], made["limits"], made["expires"]) == ("ann", *[None] * 4)


def test_a_key_is_changed_and_revoked(api: Api) -> None:
    made = api("POST", f"accounts/{api.made()['id']}/keys", {"models": ["llama3"], "expires": 4e9})[1]
    secret, path = made.pop("secret"), f"keys/{made['id']}"
    changed = made | {"name": "ci", "models": None}
    assert api("PATCH", path, {"name": "ci", "models": None}) == (200, changed)
    assert api("PATCH", path, {}) == (200, changed)
    status, revoked = api("DELETE", path)
    assert status == 200
    assert revoked == changed | {"revoked": revoked["revoked"]}
    assert time.time() - revoked["revoked"] < 60
    assert api("DELETE", path) == (200, revoked)
    assert api.accounts.find(secret) is None


def test_the_last_admins_key_is_lost_by_force_alone(api: Api) -> None:
    [own] = [key["id"] for key in api("GET", "keys")[1]["data"] if key["admin"]]
    for method, body in (("DELETE", None), ("PATCH", {"expires": 4e9})):
        status, answer = api(method, f"keys/{own}", body)
        assert (status, answer["error"]["code"]) == (409, "last_admin_key")
        assert "force=true" in answer["error"]["message"]
    assert api("PATCH", f"keys/{own}", {"name": "x", "limits": {"requests_per_day": 1}, "models": []})[0] == 200
    assert api("PATCH", f"keys/{own}?force=true", {"expires": 4e9})[0] == 200
    assert api("DELETE", f"keys/{own}")[1]["error"]["code"] == "last_admin_key"
    assert api("DELETE", f"keys/{own}?force=true")[0] == 200


def test_a_revoked_key_stays_as_it_is(api: Api) -> None:
    made = api("POST", f"accounts/{api.made()['id']}/keys", {})[1]
    api("DELETE", f"keys/{made['id']}")
    status, answer = api("PATCH", f"keys/{made['id']}", {"name": "x"})
    assert (status, answer["error"]["code"]) == (409, "key_revoked")


def test_another_admin_can_be_made(api: Api) -> None:
    made = api("POST", f"accounts/{api.made()['id']}/keys", {"admin": True})[1]
    assert api("GET", "accounts", key=made["secret"])[0] == 200


def test_lists_come_in_pages(api: Api) -> None:
    names = ["admin", *(api.made(f"n{number}")["name"] for number in range(5))]
    found, query = [], "limit=2"
    while True:
        status, page = api("GET", f"accounts?{query}")
        assert (status, len(page["data"])) == (200, 2)
        found += [account["name"] for account in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][1]["id"])
        if not page["has_more"]:
            break
        query = f"limit=2&after={page['last_id']}"
    assert found == names


def test_tiers_are_told(api: Api) -> None:
    status, tiers = api("GET", "tiers")
    assert status == 200
    described("Tiers", tiers)
    assert [(tier["id"], tier["priority"]) for tier in tiers["data"]] == [("premium", 3), ("free", 6)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "param", "words"),
    [
        ("POST", "accounts", {}, 400, "invalid_request", "name", "this field is required"),
        ("POST", "accounts", {"name": "x"}, 400, "invalid_request", "tier", "this field is required"),
        (
            "POST",
            "accounts",
            {"name": "x", "tier": "gold"},
            400,
            "invalid_request",
            "tier",
            "are 'premium', 'free'",
        ),
        ("POST", "accounts", {"name": "", "tier": "free"}, 400, "invalid_request", "name", "should not be empty"),
        ("POST", "accounts", {"name": "a\nb", "tier": "free"}, 400, "invalid_request", "name", "printable"),
        ("POST", "accounts", {"name": "ann", "tier": "free"}, 409, "name_taken", "name", "'ann' already"),
        ("POST", "accounts", {"nam": "x", "tier": "free"}, 400, "invalid_request", "nam", "did you mean 'name'?"),
        ("PATCH", "accounts/{ann}", {"suspended": 1}, 400, "invalid_request", "suspended", "true or false"),
        ("PATCH", "accounts/{ann}", {"tier": "gold"}, 400, "invalid_request", "tier", "unknown tier"),
        ("PATCH", "accounts/{own}", {"suspended": True}, 400, "invalid_request", "suspended", "locked out"),
        ("PATCH", "accounts/none", {"tier": "free"}, 404, "not_found", None, "no account"),
        ("GET", "accounts/none", None, 404, "not_found", None, "no account"),
        ("GET", "accounts/none/keys", None, 404, "not_found", None, "no account"),
        ("POST", "accounts/none/keys", {}, 404, "not_found", None, "no account"),
        ("POST", "accounts/{ann}/keys", {"models": ["lama3"]}, 400, "invalid_request", "models[0]", "'llama3'"),
        ("POST", "accounts/{ann}/keys", {"models": "x"}, 400, "invalid_request", "models", "should be a list"),
        (
            "POST",
            "accounts/{ann}/keys",
            {"tiers": ["premium"]},
            400,
            "invalid_request",
            "tiers[0]",
            "'free', may use",
        ),
        ("POST", "accounts/{ann}/keys", {"expires": 1.5}, 400, "invalid_request", "expires", "in the future"),
        ("POST", "accounts/{ann}/keys", {"expires": "x"}, 400, "invalid_request", "expires", "should be a number"),
        (
            "POST",
            "accounts/{ann}/keys",
            {"limits": {"units_per_day": 0}},
            400,
            "invalid_request",
            "limits.units_per_day",
            "should be above 0, got 0",
        ),
        ("POST", "accounts/{ann}/keys", {"limits": {"x": 1}}, 400, "invalid_request", "limits.x", "unknown field"),
        ("PATCH", "keys/none", {}, 404, "not_found", None, "no key"),
        ("DELETE", "keys/none", None, 404, "not_found", None, "no key"),
        ("DELETE", "keys/none?force=yes", None, 400, "invalid_request", "force", "true or false, got 'yes'"),
        ("DELETE", "keys/none?forse=true", None, 400, "invalid_request", "forse", "did you mean 'force'?"),
        ("PUT", "keys/none", None, 405, "method_not_allowed", None, ""),
        ("GET", "keys?limit=0", None, 400, "invalid_request", "limit", "from 1 to 1000, got '0'"),
        ("GET", "keys?limit=1001", None, 400, "invalid_request", "limit", "from 1 to 1000"),
        ("GET", "keys?limt=5", None, 400, "invalid_request", "limt", "did you mean 'limit'?"),
        ("GET", "keys?limit=5&limit=6", None, 400, "invalid_request", "limit", "given once"),
        ("GET", "keys?after=none", None, 400, "invalid_request", "after", "the last_id of a page of this list"),
        ("GET", "accounts/{ann}/keys?after=none", None, 400, "invalid_request", "after", "last_id"),
        ("GET", "accounts?after=none", None, 400, "invalid_request", "after", "last_id"),
        ("GET", "tiers?x=5", None, 400, "invalid_request", "x", "not known here"),
    ],
)
def test_mistakes_name_the_field(
    api: Api, method: str, path: str, body: Any, status: int, code: str, param: str | None, words: str
) -> None:
    ann, own = api.made("ann", "free")["id"], api("GET", "accounts?name=admin")[1]["data"][0]["id"]
    got, answer = api(method, path.format(ann=ann, own=own), body)
    assert (got, answer["error"]["code"], answer["error"]["param"]) == (status, code, param)
    assert words in answer["error"]["message"]


def test_an_account_whose_tier_is_gone_says_so(api: Api) -> None:
    account = api.accounts.create_account("old", "gone")
    status, answer = api("POST", f"accounts/{account.id}/keys", {"tiers": ["free"]})
    assert (status, answer["error"]["param"]) == (400, "tier")


def test_a_database_that_is_away_is_no_fault_of_the_request(api: Api, tmp_path: Path) -> None:
    assert api("GET", "accounts")[0] == 200
    for file in tmp_path.glob("crofai.db*"):
        file.unlink()
    (tmp_path / "crofai.db").mkdir()
    status, answer = api("GET", "tiers")
    assert status == 200
    status, answer = api("GET", "accounts")
    assert (status, answer["error"]["code"]) == (503, "accounts_unreachable")
