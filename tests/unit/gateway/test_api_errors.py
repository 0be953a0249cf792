"""Errors as HTTP responses: the same JSON for all, and the headers that clients act on."""

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.api import errors
from shared.errors import (
    AccountsUnreachable,
    InvalidRequest,
    ModelUnavailable,
    QueueFull,
    QueueUnreachable,
    RequestError,
)

AGAIN = [QueueFull, ModelUnavailable, QueueUnreachable, AccountsUnreachable]
RAISED: dict[str, type[Exception]] = {kind.__name__: kind for kind in (*AGAIN, InvalidRequest, ZeroDivisionError)}


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("test")
    app.config["MAX_CONTENT_LENGTH"] = 10
    errors.install(app)

    @app.get("/raise/<name>")
    def fail(name: str) -> str:
        raise RAISED[name]

    @app.post("/echo")
    def echo() -> bytes:
        return request.get_data()

    return app.test_client()


def told(response: TestResponse) -> tuple[int, str]:
    assert response.is_json
    return response.status_code, response.get_json()["error"]["code"]


@pytest.mark.parametrize("kind", AGAIN)
def test_what_may_work_again_soon_says_when(client: FlaskClient, kind: type[RequestError]) -> None:
    response = client.get(f"/raise/{kind.__name__}")
    assert told(response) == (kind.status, kind.code)
    assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("path", "status"), [("/raise/InvalidRequest", 400), ("/raise/ZeroDivisionError", 500), ("/nothing", 404)]
)
def test_what_will_not_work_again_says_nothing_of_when(client: FlaskClient, path: str, status: int) -> None:
    response = client.get(path)
    assert told(response)[0] == status
    assert "Retry-After" not in response.headers


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    response = client.get("/echo")
    assert told(response) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    assert client.post("/echo", data="x" * 10).data == b"x" * 10
    response = client.post("/echo", data="x" * 11)
    assert told(response) == (413, "body_too_large")
    assert response.get_json()["error"]["message"] == "The body may have 10 bytes."
