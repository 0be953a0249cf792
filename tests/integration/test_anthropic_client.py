"""Anthropic's own client over a simulated cluster."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
import requests

from tests.cluster import Cluster, cluster
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration

MESSAGES: Any = [{"role": "user", "content": "echo one two three"}]
LONG: Any = [{"role": "user", "content": "echo one two three four five"}]
HELLO: Any = {"model": "fast", "max_tokens": 50, "messages": MESSAGES}


def client_of(running: Cluster, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=running.url, api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def client(simulated: Cluster) -> Iterator[anthropic.Anthropic]:
    with client_of(simulated, simulated.key("free")) as client:
        yield client


def test_a_conversation_goes_on_with_the_answer_as_it_came(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(
        **HELLO, system="Be brief.", metadata={"user_id": "ann"}, extra_body={"temperature": 0}
    )
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "fast")
    assert (answer._request_id or "").startswith("req_")
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": "one two three"}]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 3)
    more: Any = [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [{"type": "text", "text": "echo four"}]},
    ]
    again = client.messages.create(**HELLO | {"messages": [*MESSAGES, *more]})
    assert [block.to_dict() for block in again.content] == [{"type": "text", "text": "four"}]


def test_a_stream_has_all_events_in_their_order(client: anthropic.Anthropic) -> None:
    with client.messages.create(**HELLO | {"max_tokens": 2}, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_adds_up_to_the_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**HELLO | {"max_tokens": 2}) as stream:
        assert list(stream.text_stream) == ["one", " two"]
        answer = stream.get_final_message()
        job = stream.response.headers["X-Job-Id"]
    assert answer.id == job.replace("job_", "msg_")
    assert answer.stop_reason == "max_tokens"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 2)


def test_a_request_that_is_sent_again_gets_its_message(client: anthropic.Anthropic) -> None:
    for more in ({}, {"stream": True}):
        headers = {"Idempotency-Key": f"again-{len(more)}", "X-Resume-Within": "5"}
        answers = [
            client.messages.with_raw_response.create(**HELLO, **more, extra_headers=headers) for _ in range(2)
        ]
        assert answers[0].headers["X-Job-Id"] == answers[1].headers["X-Job-Id"]
        assert answers[0].http_response.read() == answers[1].http_response.read()


@pytest.mark.parametrize(
    ("more", "kind", "error", "words"),
    [
        (
            {"extra_body": {"temperature": 2}},
            anthropic.BadRequestError,
            "invalid_request_error",
            "temperature: should be a number",
        ),
        ({"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error", "max_tokens: should be"),
        ({"model": "pictures"}, anthropic.BadRequestError, "invalid_request_error", "model: 'pictures' makes"),
        ({"model": "fats"}, anthropic.NotFoundError, "not_found_error", "did you mean 'fast'"),
        ({"model": "idle"}, anthropic.InternalServerError, "overloaded_error", "No worker serves 'idle'"),
        (
            {"extra_headers": {"X-Resume-Within": "x"}},
            anthropic.BadRequestError,
            "invalid_request_error",
            "X-Resume",
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_has_anthropics_type_and_names_its_field(
    client: anthropic.Anthropic, more: dict[str, Any], kind: type[Any], error: str, words: str, stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(**HELLO | more, stream=stream)
    assert (caught.value.type, words in caught.value.api_message) == (error, True), caught.value
    assert caught.value.request_id == caught.value.response.headers["X-Request-Id"]


def test_a_wrong_key_is_told_so(simulated: Cluster) -> None:
    with client_of(simulated, "sk-crof-wrong") as client, pytest.raises(anthropic.AuthenticationError) as caught:
        client.messages.create(**HELLO)
    assert caught.value.type == "authentication_error"


def test_a_key_may_be_a_bearers(simulated: Cluster) -> None:
    with anthropic.Anthropic(base_url=simulated.url, auth_token=simulated.key("free"), max_retries=0) as client:
        assert client.messages.create(**HELLO).stop_reason == "end_turn"


def test_tokens_are_not_counted_beforehand(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="not counted beforehand"):
        client.messages.count_tokens(model="fast", messages=MESSAGES)


def test_a_body_that_is_no_json_is_refused_in_anthropics_shape(simulated: Cluster) -> None:
    headers = {"X-API-Key": simulated.key("free"), "Content-Type": "application/json"}
    answer = requests.post(f"{simulated.url}/v1/messages", data="{", headers=headers, timeout=10)
    assert answer.status_code == 400
    refusal = answer.json()
    assert (refusal["type"], refusal["error"]["type"]) == ("error", "invalid_request_error")
    assert refusal["request_id"] == answer.headers["X-Request-Id"]


def test_a_stream_that_fails_ends_with_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    models = {"fails": simulated_model(tokens_per_second=20, fail_after=3)}
    with cluster(tmp_path_factory.mktemp("fails"), models) as running:
        running.start_gateway()
        running.start_worker("fails")
        with client_of(running, running.key()) as client:
            stream = client.messages.create(**HELLO | {"model": "fails", "messages": LONG}, stream=True)
            kinds = []
            with pytest.raises(anthropic.APIStatusError) as caught:
                for event in stream:
                    kinds.append(event.type)
            assert kinds[-3:] == ["content_block_delta"] * 3
            assert caught.value.type == "api_error"
            assert caught.value.body["request_id"] == stream.response.headers["X-Request-Id"]
            with pytest.raises(anthropic.InternalServerError) as whole:
                client.messages.create(**HELLO | {"model": "fails", "messages": LONG})
            assert whole.value.type == "api_error"
