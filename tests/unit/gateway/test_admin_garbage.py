"""The admin API and usage, sent whatever comes to mind, on both databases: no more than refused."""

import json
import logging
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from gateway import app
from gateway.admin_key import admin_key_file
from shared.settings import Settings
from shared.sql import Database

TEXTS = [
    *(
        "'",
        '"',
        "' OR 1=1 --",
        "'; DROP TABLE keys; --",
        "\\",
        "%",
        "_",
        "${x}",
        "{{7*7}}",
        "<script>",
        "../../etc",
    ),
    *(
        "\0",
        "a\0b",
        "\n",
        "\r\nX-A: b",
        "\u202e",
        "\ufeff",
        "\ud800",
        "\U0001f98a",
        "é",
        "ﬀ",
        "a" * 101,
        "x" * 50_000,
    ),
    *("None", "null", "true", "0", "-1", "1e9", "NaN", " ", "acc_", "key_*", "١"),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        2**31,
        2**63,
        -(2**63) - 1,
        10**400,
        1e308,
        -1e308,
        [],
        {},
        [[]],
        [None],
        [1],
    ),
    *({"a": {}}, {"$ne": 1}, ["x"] * 1001, [{"a": 1}], "", *TEXTS),
]
FIELDS = (
    "name",
    "tier",
    "suspended",
    "models",
    "tiers",
    "limits",
    "expires",
    "admin",
    "id",
    "account",
    "__class__",
)


@pytest.fixture
def client(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    database = Database(database_url)
    monkeypatch.setattr(app, "Database", lambda _: database)
    client = app.create_gateway(Settings(data_dir=tmp_path)).app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = admin_key_file(tmp_path).read_text().strip()
    yield client
    database.close()


@pytest.fixture
def account(client: FlaskClient) -> str:
    return made(client.post("/v1/admin/accounts", json={"name": "ann", "tier": "free"}))


def made(response: Any) -> str:
    assert response.status_code == 200, response.text
    return str(response.get_json()["id"])


def check(response: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is done, or the sender is told what is wrong with it; nobody else is."""
    assert response.status_code < 500, response.text[:300]
    if response.status_code >= 400:
        assert set(response.get_json()["error"]) == {"code", "message", "type", "param"}
        assert len(response.get_data()) < 2000
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING], caplog.text


def test_values_of_fields(client: FlaskClient, account: str, caplog: pytest.LogCaptureFixture) -> None:
    key = made(client.post(f"/v1/admin/accounts/{account}/keys", json={}))
    doors = [
        ("POST", "accounts", {"name": "bob", "tier": "free"}),
        ("PATCH", f"accounts/{account}", {}),
        ("POST", f"accounts/{account}/keys", {}),
        ("PATCH", f"keys/{key}", {}),
    ]
    for method, path, usual in doors:
        for field in FIELDS:
            for value in VALUES:
                body = json.dumps(usual | {field: value})
                check(
                    client.open(f"/v1/admin/{path}", method=method, data=body, content_type="application/json"),
                    caplog,
                )
    for listed in ("accounts", "keys", f"accounts/{account}/keys"):
        assert client.get(f"/v1/admin/{listed}?limit=1000").status_code == 200
    assert client.get("/v1/usage?by=account").status_code == 200


def test_values_of_fields_of_ones_own_keys(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    key = made(client.post("/v1/keys", json={}))
    for (method, path), field, value in product(
        (("POST", "/v1/keys"), ("PATCH", f"/v1/keys/{key}")), FIELDS, VALUES
    ):
        body = json.dumps({field: value})
        response = client.open(path, method=method, data=body, content_type="application/json")
        if response.status_code != 409:  # there may be a hundred keys
            check(response, caplog)
    for text in TEXTS:
        name = quote(text, safe="", errors="surrogatepass")
        for method in ("PATCH", "DELETE"):
            response = client.open(f"/v1/keys/{name}", method=method, json={})
            check(response, caplog)
            assert response.status_code in (400, 404, 405, 308), (method, text, response.text)
        check(client.get(f"/v1/keys?after={name}"), caplog)
        check(client.get(f"/v1/account?{name}=x"), caplog)


def test_values_below_fields(client: FlaskClient, account: str, caplog: pytest.LogCaptureFixture) -> None:
    path = f"/v1/admin/accounts/{account}/keys"
    for where, value in product(("limits", "models", "tiers"), VALUES):
        inner = {"units_per_day": value} if where == "limits" else [value]
        for odd in (inner, {value: 1} if isinstance(value, str) else {"x": value}):
            check(client.post(path, data=json.dumps({where: odd}), content_type="application/json"), caplog)


def test_ids_and_queries(client: FlaskClient, account: str, caplog: pytest.LogCaptureFixture) -> None:
    for text in TEXTS:
        name = quote(text, safe="", errors="surrogatepass")
        for method, path in (
            ("GET", f"accounts/{name}"),
            ("PATCH", f"accounts/{name}"),
            ("GET", f"accounts/{name}/keys"),
            ("POST", f"accounts/{name}/keys"),
            ("GET", f"keys/{name}"),
            ("PATCH", f"keys/{name}"),
            ("DELETE", f"keys/{name}"),
        ):
            response = client.open(f"/v1/admin/{path}", method=method, json=None if method == "GET" else {})
            check(response, caplog)
            assert response.status_code in (400, 404, 405, 308), (method, path, response.text)
        for query in ("name", "after", "limit", "from", "to", "account", "by", "format", "x"):
            for path in ("admin/accounts", "admin/keys", f"admin/accounts/{account}/keys", "usage", "usage/jobs"):
                check(client.get(f"/v1/{path}?{query}={name}"), caplog)
                check(client.get(f"/v1/{path}?{name}={query}"), caplog)


BODIES = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"\0", b"[" * 100_000, b'{"a":' * 100_000, b"{}{}"]


def test_bodies(client: FlaskClient, account: str, caplog: pytest.LogCaptureFixture) -> None:
    doors = [("POST", "accounts"), ("PATCH", f"accounts/{account}"), ("POST", f"accounts/{account}/keys")]
    for body, kind in product(BODIES, ("application/json", "text/plain", "application/x-www-form-urlencoded", "")):
        for method, path in doors:
            response = client.open(f"/v1/admin/{path}", method=method, data=body, content_type=kind)
            check(response, caplog)
            assert response.status_code in (400, 415)


def test_large_bodies(client: FlaskClient, account: str) -> None:
    body = json.dumps({"name": "x" * 1_000_001, "tier": "free"})
    response = client.post("/v1/admin/accounts", data=body, content_type="application/json")
    assert (response.status_code, response.get_json()["error"]["code"]) == (413, "body_too_large")
