"""OpenAI's own package for Node, as it is (clients/openai.mjs), with a language model that vLLM runs."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.programs import NODE_CLIENTS, Programs
from tests.cluster import Cluster

# The engines take a minute to start, and unpack their weights before that in a fresh clone.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

MODEL = "smollm2-135m"
ANSWER = "The capital of France is Paris."


@pytest.fixture(scope="module")
def said(real: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the client was told, by the name of the check."""
    folder, url = tmp_path_factory.mktemp("node"), f"{real.url}/v1"
    programs = Programs(folder, patience=240, BASE_URL=url, KEY=real.key(), MODEL=MODEL)
    return json.loads(programs.javascript((NODE_CLIENTS / "openai.mjs").read_text()).answer())


def message(answer: Any) -> Any:
    return answer["choices"][0]["message"]


def test_a_chat(said: Any) -> None:
    assert message(said["chat"])["content"] == ANSWER
    assert said["chat"]["usage"]["completion_tokens"] == 8


def test_a_stream(said: Any) -> None:
    *chunks, last = said["stream"]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == ANSWER
    assert last["choices"] == []
    assert last["usage"].items() <= said["chat"]["usage"].items()


def test_the_streaming_helper_puts_the_answer_together(said: Any) -> None:
    assert said["helper"]["snapshot"] == message(said["helper"]["final"])["content"] == ANSWER
    tokens = said["helper"]["final"]["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens).startswith(ANSWER)


@pytest.mark.parametrize("check", ["named", "required", "streamedTool"])
def test_a_tool_is_called(said: Any, check: str) -> None:
    (call,) = message(said[check])["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "forecast")
    assert json.loads(call["function"]["arguments"])["city"] in ("Rome", "Oslo")


def test_the_helper_runs_a_tool(said: Any) -> None:
    (given,) = said["runTools"]
    assert given["city"] in ("Rome", "Oslo")


def test_an_answer_is_parsed_by_its_schema(said: Any) -> None:
    assert said["parsed"]["city"] in ("Rome", "Oslo")


def test_two_answers(said: Any) -> None:
    first, second = said["two"]["choices"]
    assert (first["index"], second["index"]) == (0, 1)
    assert first["message"]["content"] != second["message"]["content"]


def test_a_stop_ends_the_answer(said: Any) -> None:
    assert message(said["stop"])["content"] == ANSWER.removesuffix(" Paris.")


def test_a_seed_gives_the_same_answer_again(said: Any) -> None:
    first, second = said["seeds"]
    assert message(first)["content"] == message(second)["content"] != ANSWER


def test_a_completion(said: Any) -> None:
    assert said["completion"]["choices"][0]["text"] == said["streamedCompletion"] != ""


def test_images(said: Any) -> None:
    for image in said["image"]["data"]:
        with Image.open(io.BytesIO(base64.b64decode(image["b64_json"]))) as picture:
            assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert len(said["image"]["data"]) == 2


def test_models_are_listed_and_found(said: Any) -> None:
    assert {MODEL, "sdxl-tiny"} <= set(said["models"]["ids"])
    assert said["models"]["one"]["id"] == MODEL


@pytest.mark.parametrize(
    ("check", "name", "status", "code", "param"),
    [
        ("wrongKey", "AuthenticationError", 401, "invalid_key", None),
        ("unknownModel", "NotFoundError", 404, "model_not_found", "model"),
        ("badRequest", "BadRequestError", 400, "invalid_request", "temperature"),
        ("badStream", "BadRequestError", 400, "invalid_request", "logit_bias"),
        ("tooLong", "BadRequestError", 400, "context_length_exceeded", "messages"),
        ("late", "APIConnectionTimeoutError", None, None, None),
    ],
)
def test_an_error_is_of_the_packages_own_kinds(
    said: Any, check: str, name: str, status: int | None, code: str | None, param: str | None
) -> None:
    error = said[check]
    assert (error["class"], error["status"]) == (name, status)
    assert (error["code"], error["param"]) == (code, param)


def test_embeddings_are_not_offered(said: Any) -> None:
    assert (said["embeddings"]["class"], said["embeddings"]["code"]) == ("NotFoundError", "not_offered")
