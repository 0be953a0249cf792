"""OpenAI's own client over a simulated cluster."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.cluster import Cluster

pytestmark = pytest.mark.integration

MESSAGES: Any = [{"role": "user", "content": "echo one two three"}]


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
