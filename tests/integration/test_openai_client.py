"""OpenAI's own client over a simulated cluster."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest

from tests.cluster import Cluster, wait_for

pytestmark = pytest.mark.integration

MESSAGES: Any = [{"role": "user", "content": "echo one two three"}]
LONG: Any = [{"role": "user", "content": "echo " + "x " * 400}]
"""Answered at length: by the slow model in 20 s."""


@pytest.fixture(scope="module")
def client(simulated: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key=simulated.key("free"), max_retries=0) as client:
        yield client


def test_a_conversation_goes_on_with_the_answer_as_it_came(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="fast", messages=MESSAGES).choices[0].message
    assert answer.content == "one two three"
    messages: Any = [*MESSAGES, answer, {"role": "user", "content": [{"type": "text", "text": "echo four"}]}]
    again = client.chat.completions.create(model="fast", messages=messages)
    assert again.choices[0].message.content == "four"


def test_what_the_client_may_send_without_effect_is_taken(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fast",
        messages=MESSAGES,
        stop=None,
        temperature=0,
        max_completion_tokens=2,
        user="ann",
        metadata={"topic": "numbers"},
        store=False,
        service_tier="auto",
        prompt_cache_key="numbers",
        safety_identifier="a1b2",
        verbosity="low",
        modalities=["text"],
        extra_body={"top_k": 5, "stream": None},
    )
    assert answer.choices[0].message.content == "one two"


def test_a_stream_counts_its_tokens(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    with client.chat.completions.create(
        model="fast", messages=MESSAGES, stream=True, stream_options=options
    ) as stream:
        chunks = list(stream)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "one two three"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"stop": list("abcde")}, "stop", "at most 4"),
        ({"n": 10**30}, "n", "from 1 to 8"),
        ({"extra_body": {"kv_transfer_params": {}}}, "kv_transfer_params", "unknown field"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "does not call tools"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_names_its_field(
    client: openai.OpenAI, more: dict[str, Any], param: str, words: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="fast", messages=MESSAGES, stream=stream, **more)
    assert (error.value.param, error.value.code) == (param, "invalid_request")
    assert words in str(error.value)


def test_a_key_that_is_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as error:
        client.with_options(api_key="sk-crof-wrong").chat.completions.create(model="fast", messages=MESSAGES)
    assert error.value.code == "invalid_key"


def test_an_address_for_premium_keys(client: openai.OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError) as error:
        client.post("/premium/fast", body={"messages": MESSAGES}, cast_to=object)
    assert error.value.code == "tier_required"


def test_a_model_without_a_worker(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as error:
        client.chat.completions.create(model="idle", messages=MESSAGES)
    assert (error.value.status_code, error.value.code) == (503, "model_unavailable")
    assert error.value.response.headers["Retry-After"] == "10"


def test_an_idempotency_key_of_another_request(client: openai.OpenAI) -> None:
    headers = {"Idempotency-Key": "one of ours"}
    client.chat.completions.create(model="fast", messages=MESSAGES, extra_headers=headers)
    with pytest.raises(openai.ConflictError) as error:
        client.chat.completions.create(model="fast", messages=MESSAGES, max_tokens=1, extra_headers=headers)
    assert error.value.code == "idempotency_mismatch"


def test_an_answer_that_takes_longer_than_the_client_waits(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(model="slow", messages=LONG, max_tokens=100)


def test_a_full_queue(simulated: Cluster, client: openai.OpenAI) -> None:
    """Two run and three wait."""
    simulated.wait_until_left("slow")
    with ExitStack() as stack:
        for _ in range(5):
            stream = client.chat.completions.create(model="slow", messages=LONG, max_tokens=400, stream=True)
            stack.enter_context(stream)
        with pytest.raises(openai.RateLimitError) as error:
            client.chat.completions.create(model="slow", messages=LONG)
    assert error.value.code == "queue_full"
    assert 1 <= int(error.value.response.headers["Retry-After"]) <= 20, "a job of 400 tokens takes 20 s"
    wait_for(lambda: simulated.valkey.client.hlen("lease:slow") == 0, 10, "all leases to be given back")


@pytest.fixture
def retrying(simulated: Cluster) -> Iterator[tuple[openai.OpenAI, list[httpx.Request]]]:
    """A client as it is unless told otherwise, which sends some requests again, and what it has sent."""
    sent: list[httpx.Request] = []
    http = httpx.Client(event_hooks={"request": [sent.append]})
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key=simulated.key("free"), http_client=http) as client:
        yield client, sent


def test_what_would_fail_again_is_sent_once(retrying: tuple[openai.OpenAI, list[httpx.Request]]) -> None:
    client, sent = retrying
    with pytest.raises(openai.InternalServerError) as late:
        client.chat.completions.create(model="slow", messages=LONG, extra_headers={"X-Request-Timeout": "1"})
    assert (late.value.status_code, late.value.code, len(sent)) == (504, "timeout", 1)
    key = {"Idempotency-Key": uuid4().hex}
    client.chat.completions.create(model="fast", messages=MESSAGES, extra_headers=key)
    sent.clear()
    with pytest.raises(openai.ConflictError) as other:
        client.chat.completions.create(model="fast", messages=LONG, extra_headers=key)
    assert (other.value.code, len(sent)) == ("idempotency_mismatch", 1)
