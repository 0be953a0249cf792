"""vLLM takes what the gateway takes, and its words do not reach clients. Loads vLLM, but no weights."""

from typing import Any

import pytest

import gateway.bodies.chat
import gateway.bodies.completion
import gateway.bodies.sampling
from gateway.bodies import completion_body, openai_body
from gateway.bodies.agreement import RENDERERS_OWN
from gateway.bodies.sampling import MOST_ANSWERS
from shared.errors import InvalidRequest
from shared.messages import Job
from tests import chats, completions
from tests.chats import CHAT, TURN
from tests.factories import make_job
from workers.engines.vllm_requests import parse_request, request_ids

pytestmark = pytest.mark.engine


def job_of(fields: dict[str, Any]) -> Job:
    """As the gateway makes it of a chat or a completion."""
    if "prompt" in fields:
        return make_job("job_1", model="m", kind="completion", body=completion_body(CHAT, fields))
    return make_job("job_1", model="m", body=openai_body(CHAT, fields))


@pytest.mark.parametrize("fields", chats.BODIES + completions.BODIES, ids=str)
def test_vllm_takes_what_the_gateway_takes(fields: dict[str, Any]) -> None:
    request = parse_request(CHAT, job_of(fields), {})
    assert request.request_id == "job_1"
    most = getattr(request, "max_completion_tokens", None) or request.max_tokens
    params = request.to_sampling_params(most, {})
    assert params.n == fields.get("n", 1)
    assert params.max_tokens == (most or 1)


@pytest.mark.parametrize("fields", chats.BODIES + completions.BODIES, ids=str)
def test_vllm_knows_every_field_that_it_gets(fields: dict[str, Any]) -> None:
    job = job_of(fields)
    assert job.body.keys() <= type(parse_request(CHAT, job, {})).model_fields.keys()


@pytest.mark.parametrize(
    ("module", "shape", "fields"),
    [
        (gateway.bodies.chat, gateway.bodies.chat.ChatRequest, chats.BODIES[0]),
        (gateway.bodies.completion, gateway.bodies.completion.CompletionRequest, completions.BODIES[0]),
    ],
    ids=["chat", "completion"],
)
def test_vllm_has_no_field_that_is_neither_taken_nor_refused_on_purpose(
    module: Any, shape: Any, fields: dict[str, Any]
) -> None:
    theirs = type(parse_request(CHAT, job_of(fields), {})).model_fields.keys()
    told = module.__doc__ + (gateway.bodies.sampling.__doc__ or "")
    for name in theirs - shape.model_fields.keys():
        assert name in told, f"{name}: say in {module.__name__} why it is not taken"


@pytest.mark.parametrize(
    ("prompt", "count"), [("hi", 1), (["hi"], 1), (["hi", "ho"], 2), ([1, 2], 1), ([[1, 2], [3], [4]], 3)]
)
def test_the_engine_is_asked_once_for_each_prompt(prompt: Any, count: int) -> None:
    assert request_ids(job_of({"prompt": prompt})) == [f"cmpl-job_1-{place}" for place in range(count)]


def test_a_template_gets_no_argument_of_its_renderer() -> None:
    import inspect

    from transformers import PreTrainedTokenizerBase

    arguments = inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters.keys()
    assert arguments - {"self", "kwargs"} <= RENDERERS_OWN


@pytest.mark.parametrize(("asked", "default"), [({"temperature": 0}, {}), ({}, {"temperature": 0.0})])
def test_answers_that_are_all_the_same_are_given_all_the_same(
    asked: dict[str, Any], default: dict[str, Any]
) -> None:
    for question in ({"messages": [TURN]}, {"prompt": "hi"}):
        job = job_of(question | {"n": MOST_ANSWERS} | asked)
        params = parse_request(CHAT, job, default).to_sampling_params(9, default)
        assert (params.n, params.top_k) == (MOST_ANSWERS, 1)


def test_a_temperature_that_is_asked_for_holds() -> None:
    job = job_of({"messages": [TURN], "n": 2, "temperature": 0.5})
    params = parse_request(CHAT, job, {"temperature": 0.0}).to_sampling_params(9, {"temperature": 0.0})
    assert (params.n, params.temperature, params.top_k) == (2, 0.5, 0)


@pytest.mark.parametrize("fields", [{"max_tokens": "many"}, {"messages": [{"role": "bot"}, 3]}, {"tools": [{}]}])
def test_what_slips_through_is_refused_without_vllms_words(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(InvalidRequest) as error:
        parse_request(CHAT, make_job("job_1", model="m", body={"messages": [TURN]} | fields), {})
    assert error.value.param == name
    assert "Param" not in str(error.value)
