"""The API's description: all of the API is in it, it is valid, and it takes and refuses what the gateway does."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.api import messages
from gateway.api.errors import error_body
from gateway.app import create_gateway
from gateway.bodies import completion_body, messages_body, openai_body, openai_image_body, parse_json, seed_body
from gateway.openapi import document
from shared.catalog import Model
from shared.errors import InvalidRequest
from shared.messages import Failure
from shared.settings import Settings
from tests import chats, completions
from tests.chats import CALL, CHAT, TEXT, TOOL, TURN

DESCRIBED = document(600, ["premium", "free"])
SCHEMAS = DESCRIBED["components"]["schemas"]
IMAGE = Model(id="i", kind="image", engine="simulated", weights="", description="")
NOT_OFFERED = {"/v1/embeddings", "/v1/messages/count_tokens"}
"""Beside those of the blueprint of that name: they are there to say so."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_gateway(Settings(data_dir=tmp_path_factory.mktemp("openapi"))).app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DESCRIBED["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema of the document, whose references lead to its parts."""
    return Draft202012Validator(schema | {"components": DESCRIBED["components"]})


def body_validator(path: str, method: str = "post") -> Draft202012Validator:
    return validator(DESCRIBED["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"])


# ---- the document


def test_all_that_is_offered_is_described_and_nothing_else(app: Flask) -> None:
    offered = {
        (method, rule.rule.replace("path:", "").replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/v1", "/health"))
        and not rule.endpoint.startswith("not_offered.")
        and rule.rule not in NOT_OFFERED
    }
    assert {(method, path) for method, path, _ in operations()} == offered


def test_it_is_valid() -> None:
    assert DESCRIBED["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DESCRIBED).validate()


def test_names_of_operations_are_unique() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_it_is_served_once_to_those_who_keep_it(client: FlaskClient) -> None:
    first = client.get("/openapi.json")
    assert first.get_json() == json.loads(json.dumps(DESCRIBED))
    assert "max-age" in first.headers["Cache-Control"]
    assert client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_errors_are_as_they_are_told() -> None:
    for name, example in DESCRIBED["components"]["examples"].items():
        assert validator(SCHEMAS["AnthropicError" if name.startswith("anthropic_") else "Error"]).is_valid(
            example["value"]
        ), name
    failure = Failure(status=400, code="invalid_request", message="x", param="n")
    assert validator(SCHEMAS["Error"]).is_valid(error_body(failure))
    assert validator(SCHEMAS["AnthropicError"]).is_valid(messages.error_body(failure))


def test_each_example_of_a_body_is_taken() -> None:
    for method, path, operation in operations():
        if "requestBody" in operation:
            for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
                body_validator(path, method.lower()).validate(example["value"])


@pytest.mark.parametrize(
    ("path", "status", "codes"),
    [
        ("/v1/chat/completions", "404", {"model_not_found"}),
        (
            "/v1/premium/{name}",
            "403",
            {"tier_required", "model_not_allowed", "account_suspended"},
        ),
        ("/v1/messages", "429", {"anthropic_queue_full", "anthropic_too_many_wrong_keys"}),
        ("/v1/chat/completions", "429", {"queue_full", "too_many_wrong_keys"}),
    ],
)
def test_an_endpoint_has_its_own_errors(path: str, status: str, codes: set[str]) -> None:
    response = DESCRIBED["paths"][path]["post"]["responses"][status]
    assert set(response["content"]["application/json"]["examples"]) == codes


# ---- bodies

BodyOf = Callable[[dict[str, Any]], dict[str, Any]]
ENDPOINTS: dict[str, tuple[BodyOf, dict[str, Any]]] = {
    "/v1/chat/completions": (lambda data: openai_body(CHAT, data), {"model": "m", "messages": [TURN]}),
    "/v1/completions": (lambda data: completion_body(CHAT, data), {"model": "m", "prompt": "hi"}),
    "/v1/images/generations": (lambda data: openai_image_body(IMAGE, data), {"model": "i", "prompt": "cat"}),
    "/v1/messages": (
        lambda data: messages_body(CHAT, data),
        {"model": "m", "max_tokens": 9, "messages": [TURN]},
    ),
    "/v1/free/{name}": (
        lambda data: seed_body(IMAGE if "prompt" in data else CHAT, data),
        {"messages": [TURN]},
    ),
}
USE = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}
CLIENTS_TOOL = {"name": "weather", "input_schema": {"type": "object"}}

TAKEN: list[tuple[str, dict[str, Any]]] = [
    *(("/v1/chat/completions", body) for body in chats.BODIES),
    *(("/v1/completions", body) for body in completions.BODIES),
    *(
        ("/v1/images/generations", fields)
        for fields in (
            {"n": 4, "size": "64x72", "seed": 2**63 - 1, "steps": 1000, "guidance_scale": 0.5},
            {"size": "auto", "quality": "hd", "output_compression": 100, "response_format": "b64_json"},
            {"stream": True, "partial_images": 3, "negative_prompt": "", "user": None},
        )
    ),
    *(
        ("/v1/messages", fields)
        for fields in (
            {"temperature": 1, "top_p": 0.5, "top_k": 0, "stop_sequences": ["a"], "system": "Be brief."},
            {"system": [TEXT | {"cache_control": {}}], "metadata": {"user_id": "ann"}, "stream": True},
            {"tools": [CLIENTS_TOOL | {"type": "custom"}], "tool_choice": {"type": "any"}},
            {"thinking": {"type": "enabled", "budget_tokens": 5}},
            {
                "messages": [
                    TURN,
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, TEXT, USE]},
                    {"role": "user", "content": [RESULT, {"type": "tool_result", "tool_use_id": "c"}, TEXT]},
                ]
            },
        )
    ),
    ("/v1/free/{name}", {"max_tokens": 7, "temperature": 0, "stop": ["a"], "seed": None}),
]

REFUSED: list[tuple[str, dict[str, Any]]] = [
    *(
        ("/v1/chat/completions", fields)
        for fields in (
            {"messages": "hi"},
            {"messages": []},
            {"messages": ["hi"]},
            {"messages": [{"content": "hi"}]},
            {"messages": [TURN | {"role": "function"}]},
            {"messages": [TURN | {"content": None}]},
            {"messages": [TURN | {"content": []}]},
            {"messages": [TURN | {"content": [TEXT | {"type": "html"}]}]},
            {"messages": [TURN | {"content": [{"type": "image_url", "image_url": {}}]}]},
            {"messages": [TURN | {"tool_calls": [CALL]}]},
            {"messages": [TURN | {"role": "tool"}]},
            {"max_tokens": 0},
            {"max_tokens": "9"},
            {"max_tokens": True},
            {"temperature": 2.1},
            {"top_p": 0},
            {"top_k": -2},
            {"n": 9},
            {"seed": 2**63},
            {"stop": list("abcde")},
            {"stop": ""},
            {"stop": 3},
            {"stop_token_ids": [-1]},
            {"allowed_token_ids": []},
            {"logit_bias": {"hi": 1}},
            {"logit_bias": {"5": 101}},
            {"logit_bias": {str(token): 1 for token in range(1025)}},
            {"stream": "yes"},
            {"response_format": {"type": "xml"}},
            {"response_format": {"type": "json_schema"}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
            {"tools": []},
            {"tools": [TOOL | {"type": "custom"}]},
            {"tool_choice": "any"},
            {"metadata": {"a": 1}},
            {"modalities": ["audio"]},
            {"chat_template": "x"},
            {"max_token": 3},
        )
    ),
    *(
        ("/v1/completions", fields)
        for fields in (
            {"prompt": ""},
            {"prompt": []},
            {"prompt": [[]]},
            {"prompt": ["hi", 3]},
            {"prompt": [-1]},
            {"prompt": ["hi"] * 33},
            {"prompt": [[1]] * 33},
            {"logprobs": True},
            {"max_completion_tokens": 3},
        )
    ),
    *(
        ("/v1/images/generations", fields)
        for fields in (
            {"prompt": ""},
            {"prompt": "x" * 4001},
            {"size": "64"},
            {"size": "0x64"},
            {"n": 5},
            {"response_format": "url"},
            {"output_compression": 50},
            {"image": "x"},
        )
    ),
    *(
        ("/v1/messages", fields)
        for fields in (
            {"max_tokens": None},
            {"temperature": 1.5},
            {"stop": ["a"]},
            {"messages": [{"role": "system", "content": "x"}]},
            {"messages": [TURN | {"content": [{"type": "image"}]}]},
            {"messages": [TURN | {"content": [RESULT | {"content": [{"type": "image"}]}]}]},
            {"tools": [CLIENTS_TOOL | {"type": "web_search_20250305"}]},
            {"tools": [{"name": "now"}]},
            {"thinking": {"type": "off"}},
        )
    ),
    *(
        ("/v1/free/{name}", fields)
        for fields in (
            {"messages": [TURN | {"name": "ann"}]},
            {"messages": []},
            {"prompt": "cat"},
            {"n": 2},
            {"seed": -1},
        )
    ),
]

LOOSER: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"stream_options": {}}),
    ("/v1/chat/completions", {"top_logprobs": 3}),
    ("/v1/chat/completions", {"messages": [{"role": "assistant"}]}),
    ("/v1/chat/completions", {"structured_outputs": {"regex": "a", "choice": ["a"]}}),
    ("/v1/chat/completions", {"max_tokens": 5000}),
    ("/v1/chat/completions", {"max_tokens": 1.0}),
    ("/v1/completions", {"n": 8, "prompt": ["hi"] * 5}),
    ("/v1/completions", {"max_tokens": 0}),
    ("/v1/images/generations", {"size": "65x64"}),
    ("/v1/images/generations", {"partial_images": 1}),
    ("/v1/messages", {"messages": [TURN | {"content": [USE]}]}),
    ("/v1/messages", {"tool_choice": {"type": "any"}}),
]
"""What the gateway refuses beside: what depends on other fields or on the model, 1.0, and multiples of 8."""


def gateway_takes(path: str, body: dict[str, Any]) -> bool:
    try:
        ENDPOINTS[path][0](parse_json(json.dumps(body)))
    except InvalidRequest:
        return False
    return True


def schema_takes(path: str, body: dict[str, Any]) -> bool:
    return VALIDATORS[path].is_valid(json.loads(json.dumps(body)))


VALIDATORS = {path: body_validator(path) for path in ENDPOINTS}


@pytest.mark.parametrize(("path", "fields"), TAKEN, ids=str)
def test_what_the_gateway_takes_fits(path: str, fields: dict[str, Any]) -> None:
    body = ENDPOINTS[path][1] | fields
    assert gateway_takes(path, body)
    assert schema_takes(path, body)


@pytest.mark.parametrize(("path", "fields"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_the_gateway_refuses_does_not_fit(path: str, fields: dict[str, Any]) -> None:
    body = ENDPOINTS[path][1] | fields
    assert not gateway_takes(path, body)
    assert not schema_takes(path, body)


@pytest.mark.parametrize(("path", "fields"), LOOSER, ids=str)
def test_where_the_schema_is_looser(path: str, fields: dict[str, Any]) -> None:
    body = ENDPOINTS[path][1] | fields
    assert not gateway_takes(path, body)
    assert schema_takes(path, body)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/images/generations"])
def test_a_model_must_be_named(path: str) -> None:
    body = {name: value for name, value in ENDPOINTS[path][1].items() if name != "model"}
    assert not schema_takes(path, body)
    assert not schema_takes(path, body | {"model": None})


def test_images_of_the_seeds_fit() -> None:
    body = {"prompt": "cat", "steps": 3}
    assert gateway_takes("/v1/free/{name}", body)
    assert schema_takes("/v1/free/{name}", body)


# ---- the page


def test_the_page_and_its_files_are_there(client: FlaskClient) -> None:
    with client.get("/reference") as page:
        named = re.findall(r'(?:src|href)="(/web/[^"]+)"', page.text)
    assert len(named) == 5
    for name in named:
        with client.get(name) as response:
            assert response.status_code == 200, name
    assert client.get("/web/swagger/oauth2-redirect.html").status_code == 404


def test_the_page_allows_nothing_inline(client: FlaskClient) -> None:
    with client.get("/reference") as page:
        policy = page.headers["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page.text)
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
