"""Every name the document prints, and every alias of the catalogue, leads to its model."""

import ast
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from shared.catalog import load_catalog
from tests.acceptance import document
from tests.acceptance.conversation import Conversation
from tests.acceptance.said import CHAT_PROMPT, LENGTHS, STREAM_PROMPT, said
from tests.cluster import Cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

PATIENCE = 60  # seconds

SPELLINGS = {
    "llama3.1-405b-Instruct": "llama3.1-405b",
    "llama3.1-tulu-3-405b": "llama3.1-tulu-405b",
    "llama3-8b": "llama3",
    "llama3-70b": "llama3_70b",
}
"""What the document's lists of speeds and of streaming models call a model that its list of models does not."""

ALIASES = {alias: model for model in LENGTHS for alias in load_catalog().models[model].aliases}
NAMES = {model: model for model in LENGTHS} | document.ENDPOINTS | SPELLINGS | ALIASES
"""All names of the 16 models → the last part of the path."""

CHAT_NAMES = {name: model for name, model in NAMES.items() if model != "stable_diffusion"}
IMAGE_NAMES = sorted(NAMES.keys() - CHAT_NAMES.keys())
STREAMING_MODELS = {NAMES[name] for name in document.STREAMING}
STREAMING_NAMES = {name: model for name, model in NAMES.items() if model in STREAMING_MODELS}


@pytest.fixture(scope="module")
def key(named: Cluster) -> str:
    return named.key("premium")


def post(running: Cluster, path: str, body: str, key: str) -> dict[str, Any]:
    """Send a body as it is printed, and insist on the printed form of the answer."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    response = requests.post(f"{running.url}{path}", data=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.keys() == json.loads(document.CHAT_RESPONSE).keys()
    return answer


def test_the_document_has_16_models_and_all_its_names_are_known() -> None:
    assert len(LENGTHS) == 16
    printed = [*document.ENDPOINTS, *document.WITH_SPEEDS, *document.STREAMING]
    assert set(printed) <= NAMES.keys()
    assert len(STREAMING_MODELS) == 8


@pytest.fixture(scope="module")
def asked(named: Cluster, key: str) -> Iterator[dict[str, Future[Any]]]:
    """Every chat and every stream, all under way at the same time."""
    with ThreadPoolExecutor(max_workers=len(CHAT_NAMES)) as pool:
        chats = {
            f"chat {name}": pool.submit(post, named, f"/v1/free/{name}", document.CHAT_BODY, key)
            for name in CHAT_NAMES
        }
        streams = {f"stream {name}": pool.submit(converse, named, key, name) for name in STREAMING_NAMES}
        yield chats | streams


def converse(running: Cluster, key: str, name: str) -> Conversation:
    """A conversation with one answer."""
    with Conversation(running.url, key) as conversation:
        conversation.ask(name, STREAM_PROMPT).answer()
        return conversation


@pytest.mark.parametrize(("name", "model"), CHAT_NAMES.items())
def test_chat(asked: dict[str, Future[Any]], name: str, model: str) -> None:
    answer = asked[f"chat {name}"].result(PATIENCE)
    assert answer["response"] == said(model, CHAT_PROMPT)


@pytest.mark.parametrize(("name", "model"), STREAMING_NAMES.items())
def test_stream(asked: dict[str, Future[Any]], name: str, model: str) -> None:
    conversation = asked[f"stream {name}"].result(PATIENCE)
    assert conversation.answer() == said(model, STREAM_PROMPT)
    assert conversation.usage["model"] == model
    assert len(conversation.chunks) > 2, "the answer came in one piece: nothing was streamed"


@pytest.mark.parametrize("name", IMAGE_NAMES)
@pytest.mark.parametrize("tier", ["free", "premium"])
def test_image(named: Cluster, key: str, tier: str, name: str) -> None:
    answer = post(named, f"/v1/{tier}/{name}", document.IMAGE_BODY, key)
    assert ast.literal_eval(answer["response"]).startswith(b"\x89PNG\r\n")


def test_all_models_are_listed_as_ready(named: Cluster) -> None:
    models = requests.get(f"{named.url}/v1/models", timeout=10).json()["data"]
    assert {model["id"] for model in models if model["state"] == "ready"} == set(LENGTHS)
