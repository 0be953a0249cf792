"""vLLM takes what the gateway takes, and its words do not reach clients. Loads vLLM, but no weights."""

from typing import Any

import pytest

from gateway.bodies import openai_body
from gateway.bodies.agreement import RENDERERS_OWN
from gateway.bodies.chat import MOST_ANSWERS, ChatRequest
from shared.errors import InvalidRequest
from tests.chats import BODIES, CHAT, TURN
from tests.factories import make_job
from workers.engines.vllm import parse_request

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("fields", BODIES, ids=str)
def test_vllm_takes_what_the_gateway_takes(fields: dict[str, Any]) -> None:
    job = make_job("job_1", model="m", body=openai_body(CHAT, fields))
    request = parse_request(CHAT, job, {})
    assert request.request_id == "job_1"
    params = request.to_sampling_params(request.max_completion_tokens or request.max_tokens, {})
    assert params.n == fields.get("n", 1)


def test_vllm_knows_every_field_that_it_gets() -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    known = ChatCompletionRequest.model_fields.keys()
    for fields in BODIES:
        assert openai_body(CHAT, fields).keys() <= known


def test_vllm_has_no_field_that_is_neither_taken_nor_refused_on_purpose() -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    import gateway.bodies.chat

    told = gateway.bodies.chat.__doc__ or ""
    for name in ChatCompletionRequest.model_fields.keys() - ChatRequest.model_fields.keys():
        assert name in told, f"{name}: say in gateway/bodies/chat.py why it is not taken"


def test_a_template_gets_no_argument_of_its_renderer() -> None:
    import inspect

    from transformers import PreTrainedTokenizerBase

    arguments = inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters.keys()
    assert arguments - {"self", "kwargs"} <= RENDERERS_OWN


@pytest.mark.parametrize(("asked", "default"), [({"temperature": 0}, {}), ({}, {"temperature": 0.0})])
def test_answers_that_are_all_the_same_are_given_all_the_same(
    asked: dict[str, Any], default: dict[str, Any]
) -> None:
    job = make_job("job_1", model="m", body=openai_body(CHAT, {"messages": [TURN], "n": MOST_ANSWERS} | asked))
    params = parse_request(CHAT, job, default).to_sampling_params(9, default)
    assert (params.n, params.top_k) == (MOST_ANSWERS, 1)


def test_a_temperature_that_is_asked_for_holds() -> None:
    job = make_job("job_1", model="m", body=openai_body(CHAT, {"messages": [TURN], "n": 2, "temperature": 0.5}))
    params = parse_request(CHAT, job, {"temperature": 0.0}).to_sampling_params(9, {"temperature": 0.0})
    assert (params.n, params.temperature, params.top_k) == (2, 0.5, 0)


@pytest.mark.parametrize("fields", [{"max_tokens": "many"}, {"messages": [{"role": "bot"}, 3]}, {"tools": [{}]}])
def test_what_slips_through_is_refused_without_vllms_words(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(InvalidRequest) as error:
        parse_request(CHAT, make_job("job_1", model="m", body={"messages": [TURN]} | fields), {})
    assert error.value.param == name
    assert "Param" not in str(error.value)
