"""OpenAI's own package for Python, as it is, with a language model that vLLM runs and an image model."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, ConfigDict

from tests.cluster import Cluster
from tests.parity.chats import FORECAST, HERMES

# The engines take a minute to start, and unpack their weights before that in a fresh clone.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

MODEL = "smollm2-135m"
PATIENCE = 180.0  # seconds for one answer, on a machine without a GPU
QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
# What is not strict leaves the arguments to the model, and this one is too small for that.
TOOLS: Any = [FORECAST | {"function": FORECAST["function"] | {"strict": True}}]
NAMED: Any = {"type": "function", "function": {"name": "forecast"}}


class City(BaseModel):
    """As OpenAI's strict schemas have it: no other fields."""

    model_config = ConfigDict(extra="forbid")

    city: Literal["Rome", "Oslo"]


class Trip(City):
    days: Literal[3, 5]


@pytest.fixture(scope="module")
def client(real: Cluster) -> Iterator[openai.OpenAI]:
    url, key = f"{real.url}/v1", real.key("premium")
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def ask(client: openai.OpenAI) -> Any:
    """A greedy chat of few tokens."""

    def asked(**more: Any) -> Any:
        return client.chat.completions.create(
            **{"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 12} | more
        )

    return asked


def test_a_chat(ask: Any) -> None:
    answer = ask()
    (choice,) = answer.choices
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert choice.message.content == "The capital of France is Paris."
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert (answer.object, answer.model) == ("chat.completion", MODEL)


def test_a_stream_says_what_the_whole_answer_says(ask: Any) -> None:
    with ask(stream=True, stream_options={"include_usage": True}) as stream:
        *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ask().choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert (last.choices, last.usage) == ([], ask().usage)
    assert len({chunk.id for chunk in [*chunks, last]}) == 1


def test_the_streaming_helper_puts_the_answer_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=QUESTION, temperature=0, max_tokens=12, logprobs=True
    ) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done", "logprobs.content.delta"} <= kinds
    assert answer.choices[0].message.content == "The capital of France is Paris."


def test_a_conversation_goes_on_with_the_answer_as_it_came(ask: Any) -> None:
    answer = ask().choices[0].message
    turns = [*QUESTION, answer, {"role": "user", "content": [{"type": "text", "text": "And of Italy?"}]}]
    assert "Rome" in ask(messages=turns, max_tokens=16).choices[0].message.content


def test_a_stop_ends_the_answer(ask: Any) -> None:
    (choice,) = ask(stop=[" Paris"]).choices
    assert (choice.message.content, choice.finish_reason) == ("The capital of France is", "stop")


def test_a_length_ends_the_answer(ask: Any) -> None:
    answer = ask(max_tokens=openai.omit, max_completion_tokens=3)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)


def test_a_seed_gives_the_same_answer_again(ask: Any) -> None:
    drawn = [ask(temperature=1.5, seed=seed).choices[0].message.content for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_two_answers(ask: Any) -> None:
    answer = ask(n=2, temperature=1.5, seed=5)
    first, second = answer.choices
    assert (first.index, second.index) == (0, 1)
    assert first.message.content != second.message.content


def test_logprobs(ask: Any) -> None:
    (choice,) = ask(logprobs=True, top_logprobs=2, max_tokens=3).choices
    assert [token.token for token in choice.logprobs.content] == ["The", " capital", " of"]
    for token in choice.logprobs.content:
        assert token.logprob <= 0 and bytes(token.bytes).decode() == token.token
        best, other = token.top_logprobs
        assert (best.token, best.logprob) == (token.token, token.logprob)
        assert other.logprob <= best.logprob


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_a_tool_is_called(ask: Any, choice: Any) -> None:
    answer = ask(tools=TOOLS, tool_choice=choice, max_tokens=60).choices[0].message
    (call,) = answer.tool_calls
    assert (call.type, call.function.name) == ("function", "forecast")
    assert json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")
    # And its result goes back to the model, with the call as it came.
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 25 degrees."}
    assert ask(messages=[*QUESTION, answer, result]).choices[0].message.content


def test_the_model_calls_a_tool_by_itself(ask: Any) -> None:
    """So small a model would not: a constraint has it say what one that calls tools says."""
    (choice,) = ask(tools=TOOLS, max_tokens=60, extra_body={"structured_outputs": {"choice": [HERMES]}}).choices
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("forecast", {"city": "Rome"})
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content


def test_the_streaming_helper_puts_a_tools_call_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL,
        messages=QUESTION,
        tools=[openai.pydantic_function_tool(City)],
        tool_choice={"type": "function", "function": {"name": "City"}},
        temperature=0,
        max_tokens=60,
    ) as stream:
        answer = stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, City)


def test_an_answer_is_parsed_into_a_pydantic_model(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=QUESTION, response_format=Trip, temperature=0, max_tokens=60
    )
    assert isinstance(answer.choices[0].message.parsed, Trip)


def test_json_of_any_shape(ask: Any) -> None:
    answer = ask(response_format={"type": "json_object"}, max_tokens=60, stop=["}"])
    assert answer.choices[0].message.content.lstrip().startswith("{")


def test_a_completion(client: openai.OpenAI) -> None:
    prompts = ["The capital of France is", "One, two,"]
    answer = client.completions.create(
        model=MODEL, prompt=prompts, temperature=0, max_tokens=4, echo=True, logprobs=1
    )
    assert [choice.text.startswith(prompts[choice.index]) for choice in answer.choices] == [True, True]
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.token_logprobs is not None
    assert logprobs.token_logprobs[0] is None, "nothing comes before the first token"
    assert (answer.object, answer.model) == ("text_completion", MODEL)


def test_a_streamed_completion_says_what_the_whole_one_says(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": "The capital of France is", "temperature": 0}
    with client.completions.create(**asked, stream=True, stream_options={"include_usage": True}) as stream:
        *chunks, last = list(stream)
    whole = client.completions.create(**asked)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert (last.choices, last.usage) == ([], whole.usage)
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 16, "OpenAI's own length, where the request has none"


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert {MODEL, "sdxl-tiny"} <= {model.id for model in client.models.list()}
    model = client.models.retrieve(MODEL)
    assert (model.id, model.object, model.owned_by) == (MODEL, "model", "crofai")


def test_raw_responses_tell_the_jobs_id(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, max_tokens=1)
    assert raw.parse().id == f"chatcmpl-{raw.headers['X-Job-Id']}"


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": "word " * 2100}]}, "context_length_exceeded", "messages"),
        ({"max_tokens": 5000}, "invalid_request", "max_tokens"),
        ({"temperature": -1}, "invalid_request", "temperature"),
        ({"logit_bias": {"1000000": 5}}, "invalid_request", "logit_bias"),
        ({"extra_body": {"structured_outputs": {"regex": "("}}}, "invalid_request", "structured_outputs.regex"),
        ({"extra_body": {"max_token": 5}}, "invalid_request", "max_token"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_bad_request(ask: Any, more: dict[str, Any], code: str, param: str, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        ask(stream=stream, **more)
    assert (error.value.code, error.value.param) == (code, param)
    assert error.value.type == "invalid_request_error"


def test_a_model_that_is_none(ask: Any, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="unknown model 'gpt-4o'") as error:
        ask(model="gpt-4o")
    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_a_model_that_makes_images_does_not_chat(ask: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="makes images"):
        ask(model="sdxl-tiny")


def test_embeddings_are_not_offered(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model=MODEL, input="hi")
    assert (error.value.code, error.value.param) == ("not_offered", "model")


def test_a_wrong_key(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as error:
        client.with_options(api_key="sk-crof-wrong").chat.completions.create(model=MODEL, messages=QUESTION)
    assert error.value.code == "invalid_key"


def test_an_answer_that_takes_too_long_for_the_client(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=1000, extra_body={"ignore_eos": True}
        )


def test_the_asynchronous_client(real: Cluster) -> None:
    async def text() -> str:
        async with openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key=real.key(), max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=MODEL, messages=QUESTION, temperature=0, max_tokens=12, stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(text()) == "The capital of France is Paris."
