"""What is told at addresses where nothing is served, and of methods that an address does not take."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway import request_id
from gateway.app import create_gateway
from shared.settings import Settings
from tests.page import Tree

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_gateway(Settings(data_dir=tmp_path_factory.mktemp("addresses"))).app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    request_id.begin("mine")
    return app.test_client()


def refused(response: TestResponse) -> tuple[int, str | None, Any]:
    """Its status, its code if it has OpenAI's shape, and its `error`."""
    error = response.get_json()["error"]
    return response.status_code, error.get("code"), error


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("PUT", "/v1/messages", 405, "invalid_request_error"),
        ("GET", "/v1/messages/count_tokens", 405, "invalid_request_error"),
        ("POST", "/v1/messages/nothing", 404, "not_found_error"),
        ("POST", "/v1/messages/", 404, "not_found_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/messages/batches/msgbatch_1/results", 404, "not_found_error"),
    ],
)
def test_anthropics_addresses_have_anthropics_errors(
    client: FlaskClient, method: str, path: str, status: int, kind: str
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert response.get_json().keys() == {"type", "error", "request_id"}
    assert (response.get_json()["type"], response.get_json()["error"]["type"]) == ("error", kind)
    assert response.headers["request-id"] == response.get_json()["request_id"] == "mine"
    assert ("POST" in response.headers.get("Allow", "")) == (status == 405)


@pytest.mark.parametrize(("path", "status"), [("/v1/messagesx", 404), ("/v1", 404), ("/v1/chat/completions", 405)])
def test_others_have_openais(client: FlaskClient, path: str, status: int) -> None:
    response = client.get(path)
    assert refused(response)[:2] == (status, "not_found" if status == 404 else "method_not_allowed")
    assert "request-id" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "words"),
    [
        ("GET", "/v1/chat/completions/chatcmpl-1", 404, "not_offered", "Answers are not stored"),
        ("POST", "/v1/chat/completions/chatcmpl-1", 404, "not_offered", "Answers are not stored"),
        ("DELETE", "/v1/chat/completions/chatcmpl-1", 404, "not_offered", "/v1/jobs/{id}"),
        ("GET", "/v1/chat/completions/chatcmpl-1/messages", 404, "not_offered", "Answers are not stored"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed", "does not take GET; it takes POST."),
        ("DELETE", "/v1/models/m", 405, "method_not_allowed", "does not take DELETE; it takes GET."),
        ("PUT", "/v1/jobs/job_1", 405, "method_not_allowed", "does not take PUT; it takes DELETE and GET."),
    ],
)
def test_what_is_not_offered_says_so(
    client: FlaskClient, method: str, path: str, status: int, code: str, words: str
) -> None:
    told = refused(client.open(path, method=method))
    assert told[:2] == (status, code)
    assert words in told[2]["message"]


# ---- what browsers are shown


@pytest.mark.parametrize(
    ("method", "path", "status", "words", "links"),
    [
        ("GET", "/dashbord", 404, "There is nothing at /dashbord. Did you mean /dashboard?", ["/dashboard"]),
        ("GET", "/v2/chat/completions", 404, "Did you mean /v1/chat/completions?", []),
        ("GET", "/quite/else", 404, "There is nothing at /quite/else.", []),
        ("GET", "/web/nothing.js", 404, "There is nothing at /web/nothing.js.", []),
        ("POST", "/status", 405, "This address does not take POST; it takes GET.", []),
    ],
)
def test_who_goes_astray_with_a_browser_is_shown_a_page(
    client: FlaskClient, method: str, path: str, status: int, words: str, links: list[str]
) -> None:
    response = client.open(path, method=method, headers={"Accept": BROWSER})
    assert (response.status_code, response.mimetype) == (status, "text/html")
    main = next(Tree(response.text).root.all("main"))
    assert words in " ".join(main.text.split())
    assert [link.attrs["href"] for link in main.all("a")] == [*links, "/", "/reference"]
    assert ("GET" in response.headers.get("Allow", "")) == (status == 405)


@pytest.mark.parametrize(
    ("path", "accepts"),
    [
        ("/dashbord", None),
        ("/dashbord", "*/*"),
        ("/dashbord", "application/json, text/plain, */*"),
        ("/dashbord", "text/html, application/json"),
        ("/dashbord", "text/html;q=0.4, application/json;q=0.5"),
        ("/v1/nothing", BROWSER),
        ("/v1/messages/nothing", BROWSER),
        ("/v1/chat/completions", BROWSER),
    ],
)
def test_programs_are_told_in_json(client: FlaskClient, path: str, accepts: str | None) -> None:
    told = client.get(path, headers={"Accept": accepts} if accepts else {})
    assert told.is_json
    assert told.data == client.get(path).data


def test_that_page_is_guarded_and_laid_out_as_the_others(client: FlaskClient) -> None:
    page = client.get("/status", headers={"Accept": BROWSER})
    for lost in (
        client.get("/nothing/<script>alert(1)</script>", headers={"Accept": BROWSER}),
        client.open("/status", method="<I>", headers={"Accept": BROWSER}),
    ):
        names = ("Content-Security-Policy", "Permissions-Policy", "X-Frame-Options", "X-Content-Type-Options")
        assert [lost.headers[name] for name in names] == [page.headers[name] for name in names]
        assert "ETag" not in lost.headers
        there, shown = (next(Tree(each.text).root.all("header")) for each in (page, lost))
        links = [[link.attrs["href"] for link in each.all("a")] for each in (there, shown)]
        assert links[0] == links[1]
        assert not [link for link in shown.all("a") if "aria-current" in link.attrs]
        tree = Tree(lost.text).root
        assert not list(tree.all("script"))
        assert not list(tree.all("i"))
        assert next(tree.all("title")).text in ("crofai: nothing here", "crofai: not this way")


def test_other_errors_are_json_to_browsers_too(client: FlaskClient) -> None:
    told = client.get("/health/ready", headers={"Accept": BROWSER})
    assert told.is_json
    assert told.status_code == 503
