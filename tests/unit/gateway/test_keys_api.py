"""/v1/account and /v1/keys: what holders of keys may do with them, and that none comes to more by it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from gateway.admin_key import admin_key_file
from gateway.app import create_gateway
from gateway.openapi import document
from shared.accounts import DAY, MOST_NEW, MOST_VALID, NEW_DAYS, Accounts
from shared.errors import TooManyKeys
from shared.key_format import PREFIX
from shared.settings import Settings
from shared.tiers import Limits

DESCRIBED = document(600, ["premium", "free"])
LATER = 4e9


class Api:
    """A client of a gateway without Redis, with the account ann's first key unless another is given."""

    def __init__(self, client: FlaskClient, settings: Settings) -> None:
        self.client, self.settings, self.accounts = client, settings, Accounts(settings.sql_url)
        self.admin = admin_key_file(settings.data_dir).read_text().strip()
        self.ann = self.accounts.create_account("ann", "premium")
        self.first = self.accounts.add_key(self.ann, "first")

    def __call__(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.first.secret}"}
        response = self.client.open(f"/v1/{path}", method=method, json=body, headers=headers)
        return response.status_code, response.get_json()

    def refused(self, method: str, path: str, body: Any, key: str | None = None) -> tuple[int, str, str | None]:
        status, answer = self(method, path, body, key=key)
        return status, answer["error"]["code"], answer["error"]["param"]

    def key(self, **bounds: Any) -> Any:
        """Another of ann's keys, as its operator makes them."""
        return self.accounts.add_key(self.ann, "bounded", **bounds)


def described(name: str, value: Any) -> None:
    schema = DESCRIBED["components"]["schemas"][name] | {"components": DESCRIBED["components"]}
    Draft202012Validator(schema).validate(value)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    settings = Settings(data_dir=tmp_path)
    client = create_gateway(settings).app.test_client()
    yield Api(client, settings)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "keys"), ("POST", "keys"), ("PATCH", "keys/x"), ("DELETE", "keys/x"), ("GET", "account")],
)
def test_it_takes_a_key(api: Api, method: str, path: str) -> None:
    assert api.refused(method, path, {}, "sk-crof-wrong")[:2] == (401, "invalid_key")


def test_browsers_may_ask_beforehand_without_a_key(api: Api) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "PATCH"}
    assert api.client.options("/v1/keys/x", headers=headers).status_code == 200


def test_a_key_is_made_and_its_secret_told_once(api: Api) -> None:
    bounds = {"models": ["LLAMA3-8b"], "tiers": ["free"], "limits": {"units_per_day": 5}, "expires": LATER}
    status, made = api("POST", "keys", bounds | {"name": "ci"})
    assert status == 200
    described("KeyMade", made)
    secret = made.pop("secret")
    assert secret.startswith(PREFIX)
    assert (made["name"], made["models"], made["tiers"], made["admin"]) == ("ci", ["llama3"], ["free"], False)
    assert (made["account"], made["expires"], made["limits"]["units_per_day"]) == (api.ann.id, LATER, 5)
    status, listed = api("GET", "keys")
    described("Keys", listed)
    assert (status, [key["name"] for key in listed["data"]]) == (200, ["first", "ci"])
    assert secret not in str(listed)
    assert api("GET", "keys?limit=1")[1]["has_more"] is True


def test_a_key_is_changed_and_revoked(api: Api) -> None:
    made = api("POST", "keys", {"models": ["llama3"]})[1]
    secret, path = made.pop("secret"), f"keys/{made['id']}"
    changed = made | {"name": "ci", "models": None}
    assert api("PATCH", path, {"name": "ci", "models": None}) == (200, changed)
    assert api("PATCH", path, {}) == (200, changed)
    status, revoked = api("DELETE", path)
    assert (status, revoked["revoked"] is not None) == (200, True)
    assert api("DELETE", path) == (200, revoked)
    assert api.accounts.find(secret) is None
    assert api.refused("PATCH", path, {"name": "x"})[:2] == (409, "key_revoked")


def test_a_key_may_revoke_itself(api: Api) -> None:
    assert api("DELETE", f"keys/{api.first.id}")[0] == 200
    # A moment later it is known no more; it is good for no change even before.
    assert api.refused("POST", "keys", {})[:2] == (401, "invalid_key")


def test_keys_of_others_are_as_if_they_were_not_there(api: Api) -> None:
    bob = api.accounts.create_key("bob", "premium")
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert api.refused(method, f"keys/{bob.id}", body) == api.refused(method, "keys/none", body)
        assert api.refused(method, f"keys/{bob.id}", body, api.admin)[0] == 404
    assert api.accounts.find(bob.secret) is not None
    assert bob.id not in str(api("GET", "keys"))


NARROW: dict[str, Any] = {"models": ["llama3", "gemma-7b-it"], "tiers": ["free"], "expires": LATER}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"models": ["llama3", "tinyllama"]}, "models"),
        ({"models": ["tinyllama"]}, "models"),
        ({"tiers": ["premium"]}, "tiers"),
        ({"tiers": ["free", "premium"]}, "tiers"),
        ({"expires": LATER + 1}, "expires"),
    ],
)
def test_no_key_makes_one_that_may_do_more_than_itself(api: Api, body: dict[str, Any], param: str) -> None:
    narrow = api.key(**NARROW)
    assert api.refused("POST", "keys", body, narrow.secret) == (403, "key_too_narrow", param)
    mine = api("POST", "keys", {}, key=narrow.secret)[1]
    for key in (mine["id"], narrow.id):
        assert api.refused("PATCH", f"keys/{key}", body, narrow.secret) == (403, "key_too_narrow", param)


def test_when_ones_own_key_ends_is_told_as_a_date(api: Api) -> None:
    narrow = api.key(expires=4_000_000_000.5)
    message = api("POST", "keys", {"expires": 4_000_000_001}, key=narrow.secret)[1]["error"]["message"]
    assert message == "expires: your own API key ends before, at 2096-10-02 07:06:40 UTC."


@pytest.mark.parametrize("name", ["models", "tiers", "expires"])
def test_nor_does_it_take_back_a_bound(api: Api, name: str) -> None:
    narrow = api.key(**NARROW)
    mine = api("POST", "keys", {}, key=narrow.secret)[1]
    for key in (mine["id"], narrow.id):
        assert api.refused("PATCH", f"keys/{key}", {name: None}, narrow.secret) == (403, "key_too_narrow", name)


def test_what_is_left_out_is_as_the_key_that_makes_it(api: Api) -> None:
    narrow = api.key(**NARROW)
    status, made = api("POST", "keys", {"models": ["llama3"], "tiers": None}, key=narrow.secret)
    assert (status, made["models"], made["tiers"], made["expires"]) == (200, ["llama3"], ["free"], LATER)


@pytest.mark.parametrize("bounds", [{}, {"models": ["llama3"]}, {"models": ["tinyllama"], "tiers": ["free"]}])
def test_it_manages_none_that_may_do_more(api: Api, bounds: dict[str, Any]) -> None:
    narrow, other = api.key(**NARROW), api.key(**bounds)
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert api.refused(method, f"keys/{other.id}", body, narrow.secret)[:2] == (403, "key_too_narrow")
    assert api.accounts.find(other.secret) is not None


def test_it_narrows_renames_and_revokes_itself(api: Api) -> None:
    narrow = api.key(**NARROW)
    body = {"name": "narrower", "models": ["llama3"], "expires": LATER - 1}
    status, changed = api("PATCH", f"keys/{narrow.id}", body, key=narrow.secret)
    assert (status, changed["name"], changed["models"], changed["expires"]) == (200, *body.values())
    assert api.refused("PATCH", f"keys/{narrow.id}", NARROW, narrow.secret)[:2] == (403, "key_too_narrow")
    assert api("DELETE", f"keys/{narrow.id}", key=narrow.secret)[0] == 200


def test_a_key_with_limits_manages_itself_alone(api: Api) -> None:
    """With others it might do more than once what it may."""
    limited, twin = (api.key(limits=Limits(requests_per_day=5)) for _ in range(2))
    assert api.refused("POST", "keys", {"limits": {"requests_per_day": 1}}, limited.secret)[:2] == (
        403,
        "key_too_narrow",
    )
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert api.refused(method, f"keys/{twin.id}", body, limited.secret)[:2] == (403, "key_too_narrow")
    own = f"keys/{limited.id}"
    for limits in (None, {}, {"requests_per_day": 6}, {"requests_per_minute": 1}):
        refused = api.refused("PATCH", own, {"limits": limits}, limited.secret)
        assert refused == (403, "key_too_narrow", "limits.requests_per_day")
    limits = {"requests_per_day": 4, "concurrent_jobs": 1}
    status, changed = api("PATCH", own, {"limits": limits, "name": "less"}, key=limited.secret)
    assert (status, changed["limits"]["requests_per_day"], changed["limits"]["concurrent_jobs"]) == (200, 4, 1)


def test_nobody_becomes_an_admin(api: Api) -> None:
    assert api.refused("POST", "keys", {"admin": True}) == (400, "invalid_request", "admin")
    assert api.refused("POST", "keys", {"admin": True}, api.admin) == (400, "invalid_request", "admin")
    assert api.refused("PATCH", f"keys/{api.first.id}", {"admin": True}) == (400, "invalid_request", "admin")
    assert api("POST", "keys", {}, key=api.admin)[1]["admin"] is False


def test_admins_keys_are_managed_by_admins_keys_alone(api: Api) -> None:
    admin = api.key(admin=True)
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert api.refused(method, f"keys/{admin.id}", body)[:2] == (403, "key_too_narrow")
    assert api("PATCH", f"keys/{admin.id}", {"name": "x"}, key=admin.secret)[0] == 200
    assert api("DELETE", f"keys/{admin.id}", key=admin.secret)[0] == 200


def test_the_last_admins_key_is_lost_by_force_alone(api: Api) -> None:
    [own] = [key["id"] for key in api("GET", "keys", key=api.admin)[1]["data"]]
    assert api.refused("DELETE", f"keys/{own}", None, api.admin)[:2] == (409, "last_admin_key")
    assert api.refused("PATCH", f"keys/{own}", {"expires": LATER}, api.admin)[:2] == (409, "last_admin_key")
    assert api("DELETE", f"keys/{own}?force=true", key=api.admin)[0] == 200


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (
            {"limits": {"requests_per_minute": 601}},
            "limits.requests_per_minute",
            "at most the account's, 600, got 601",
        ),
        ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute", "above 0"),
        ({"models": ["lama3"]}, "models[0]", "'llama3'"),
        ({"tiers": ["gold"]}, "tiers[0]", "unknown tier"),
        ({"expires": 1.5}, "expires", "in the future; 1.5 is 1970-01-01 00:00:01 UTC"),
        ({"name": "a\nb"}, "name", "printable"),
        ({"nam": "x"}, "nam", "did you mean 'name'?"),
        ({"admin": False}, "admin", "by admins alone"),
    ],
)
def test_mistakes_name_the_field(api: Api, body: dict[str, Any], param: str, words: str) -> None:
    status, answer = api("POST", "keys", body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "invalid_request", param)
    assert words in answer["error"]["message"]


def test_an_account_has_so_many_keys_at_once_and_in_a_month(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accounts.MOST_VALID", 3)
    monkeypatch.setattr("shared.accounts.MOST_NEW", 5)
    made = [api("POST", "keys", {})[1] for _ in range(2)]
    status, answer = api("POST", "keys", {})
    assert (status, answer["error"]["code"]) == (409, "too_many_keys")
    assert "3 valid API keys" in answer["error"]["message"]
    for key in made:
        api("DELETE", f"keys/{key['id']}")
    assert [api("POST", "keys", {})[0] for _ in range(3)] == [200, 200, 409]
    made = [key for key in api("GET", "keys")[1]["data"] if key["revoked"] is None][1:]
    for key in made:
        api("DELETE", f"keys/{key['id']}")
    assert "has got 5 API keys in the last 30 days" in api("POST", "keys", {})[1]["error"]["message"]
    assert api.key().id, "the operator makes more"
    later = Accounts(api.settings.sql_url, lambda: time.time() + NEW_DAYS * DAY)
    assert later.add_key(api.ann, "a month later", by=api.first).id
    assert MOST_VALID < MOST_NEW


def test_of_many_who_make_the_last_key_one_does(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accounts.MOST_VALID", 2)

    def make(number: int) -> bool:
        try:
            return bool(api.accounts.add_key(api.ann, f"n{number}", by=api.first))
        except TooManyKeys:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, range(8))) == 1


def test_keys_that_have_ended_do_not_count(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accounts.MOST_VALID", 2)
    api.key(expires=time.time() - 1)
    assert [api("POST", "keys", {})[0] for _ in range(2)] == [200, 409]


def test_nor_do_they_come_to_life_again(api: Api) -> None:
    ended = f"keys/{api.key(expires=time.time() - 1).id}"
    for body in ({"expires": None}, {"expires": LATER}, {"name": "x"}):
        assert api.refused("PATCH", ended, body)[:2] == (409, "key_expired")
        assert api.refused("PATCH", f"admin/{ended}", body, api.admin)[:2] == (409, "key_expired")
    assert api("DELETE", ended)[0] == 200
    assert api.refused("PATCH", ended, {"expires": None})[:2] == (409, "key_revoked")


@pytest.mark.parametrize("limits", [{}, {"units_per_day": None}])
def test_no_limit_at_all_is_none(api: Api, limits: dict[str, Any]) -> None:
    assert api("POST", "keys", {"limits": limits})[1]["limits"] is None
    made = api("POST", f"admin/accounts/{api.ann.id}/keys", {"limits": limits}, key=api.admin)[1]
    assert made["limits"] is None
    changed = api("PATCH", f"admin/keys/{made['id']}", {"limits": {"units_per_day": 1}}, key=api.admin)[1]
    assert changed["limits"]["units_per_day"] == 1
    changed = api("PATCH", f"admin/keys/{made['id']}", {"limits": limits}, key=api.admin)[1]
    assert changed["limits"] is None
