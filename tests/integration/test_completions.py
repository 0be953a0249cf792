"""Completions with OpenAI's own client over a simulated cluster."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
import requests

from tests.cluster import Cluster, wait_for

pytestmark = pytest.mark.integration

PROMPT = "echo one two three"


@pytest.fixture(scope="module")
def client(simulated: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key=simulated.key("free"), max_retries=0) as client:
        yield client


def job(simulated: Cluster, client: openai.OpenAI, job_id: str) -> dict[str, Any]:
    headers = {"X-API-Key": client.api_key}
    return dict(requests.get(f"{simulated.url}/v1/jobs/{job_id}", headers=headers, timeout=10).json())


def test_an_answer_is_whole(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="fast", prompt=PROMPT, max_tokens=2, user="ann", best_of=1)
    assert (answer.object, answer.model, answer.id[:9]) == ("text_completion", "fast", "cmpl-job_")
    (choice,) = answer.choices
    assert (choice.index, choice.text, choice.finish_reason) == (0, "one two", "length")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 2, 6)


def test_a_stream_counts_its_tokens(client: openai.OpenAI) -> None:
    with client.completions.create(
        model="fast", prompt=PROMPT, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "one two three"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize("stream", [True, False])
def test_several_prompts_have_several_answers(client: openai.OpenAI, stream: bool) -> None:
    asked: Any = {"model": "fast", "prompt": ["echo a b", "echo c"], "n": 2, "stream": stream}
    answer: Any = client.completions.create(**asked)
    texts = dict.fromkeys(range(4), "")
    for part in answer if stream else [answer]:
        for choice in part.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == ["a b", "a b", "c", "c"]


def test_ids_of_tokens_and_an_echo_are_taken(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="fast", prompt=[[5, 7], [9]], echo=True, max_tokens=0)
    assert [choice.text for choice in answer.choices] == ["5 7", "9"]


@pytest.mark.parametrize("stream", [True, False])
def test_its_job_has_its_text(simulated: Cluster, client: openai.OpenAI, stream: bool) -> None:
    answer = client.completions.with_raw_response.create(model="fast", prompt=PROMPT, stream=stream)
    answer.http_response.read()
    found = job(simulated, client, answer.headers["X-Job-Id"])
    assert (found["state"], found["text"], found["finish_reason"]) == ("succeeded", "one two three", "stop")


def test_the_same_request_sent_again_is_the_same_job(client: openai.OpenAI) -> None:
    create = client.completions.with_raw_response.create
    once, again = (
        create(model="fast", prompt=PROMPT, extra_headers={"Idempotency-Key": "completion"}) for _ in range(2)
    )
    assert once.headers["X-Job-Id"] == again.headers["X-Job-Id"]
    assert once.http_response.content == again.http_response.content


def test_a_stream_that_is_left_is_cancelled(simulated: Cluster, client: openai.OpenAI) -> None:
    many = "echo " + "word " * 1000
    answer = client.completions.with_raw_response.create(model="slow", prompt=many, stream=True)
    stream = answer.parse()
    next(iter(stream))
    stream.close()
    job_id = answer.headers["X-Job-Id"]
    wait_for(lambda: job(simulated, client, job_id)["state"] == "cancelled", 10, "the job's end")


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"prompt": ""}, "prompt", "should not be empty"),
        ({"prompt": ["hi"] * 40}, "prompt", "at most 32"),
        ({"suffix": "x"}, "suffix", "leave it out"),
        ({"best_of": 3}, "best_of", "should be 1, as `n`"),
        ({"model": "pictures"}, "model", "makes images"),
        ({"prompt": "word " * 5000}, "prompt", "longer than the model's context"),
        ({"extra_body": {"messages": []}}, "messages", "send `prompt`"),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_names_its_field(
    client: openai.OpenAI, more: dict[str, Any], param: str, words: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(**({"model": "fast", "prompt": PROMPT, "stream": stream} | more))
    assert error.value.param == param
    assert words in str(error.value)


def test_a_chat_is_told_where_its_prompt_belongs(client: openai.OpenAI) -> None:
    body: Any = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(openai.BadRequestError, match="/v1/completions"):
        client.chat.completions.create(**body, extra_body={"prompt": "hi"})
