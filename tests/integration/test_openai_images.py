"""OpenAI's own client asks a simulated image model for pictures."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import requests
from PIL import Image

from tests.cluster import Cluster

pytestmark = pytest.mark.integration

CAT: Any = {"model": "pictures", "prompt": "a cat"}


@pytest.fixture(scope="module")
def key(simulated: Cluster) -> str:
    return simulated.key("free")


@pytest.fixture(scope="module")
def client(simulated: Cluster, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulated.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def picture(b64_json: str | None) -> Image.Image:
    assert b64_json
    image = Image.open(io.BytesIO(base64.b64decode(b64_json)))
    image.load()
    return image


def events(response: requests.Response) -> list[dict[str, str]]:
    """The server-sent events of a response, as their fields."""
    blocks = [block for block in response.text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def test_images_come_with_their_seeds(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        **CAT, response_format="b64_json", size="96x64", n=2, extra_body={"steps": 4, "seed": 7}
    )
    assert answer.data is not None
    assert [picture(image.b64_json).size for image in answer.data] == [(96, 64), (96, 64)]
    assert [image.model_extra for image in answer.data] == [{"seed": 7}, {"seed": 8}]
    assert len({image.b64_json for image in answer.data}) == 2
    assert (answer.size, answer.output_format, answer.background) == ("96x64", "png", "opaque")
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.usage.model_extra) == (0, {"image_steps": 8})


def test_what_changes_nothing_is_taken(client: openai.OpenAI) -> None:
    plain = client.images.generate(**CAT, extra_body={"seed": 7})
    taken = client.images.generate(
        **CAT,
        n=1,
        size="auto",
        quality="high",
        style="vivid",
        background="auto",
        moderation="low",
        output_format="png",
        output_compression=100,
        user="ann",
        extra_body={"seed": 7, "stream": None},
    )
    assert plain.data == taken.data


def test_who_asks_for_no_partial_images_gets_the_images_alone(client: openai.OpenAI) -> None:
    more = {"steps": 3, "seed": 1}
    with client.images.generate(**CAT, n=2, stream=True, partial_images=0, extra_body=more) as stream:
        told = list(stream)
    assert [event.type for event in told] == ["image_generation.completed"] * 2
    assert [picture(event.b64_json).format for event in told] == ["PNG", "PNG"]
    answer = client.images.generate(**CAT, extra_body=more | {"partial_images": 0})
    assert answer.data and answer.data[0].b64_json == told[0].b64_json


def test_a_stream_tells_the_steps_and_then_the_images(client: openai.OpenAI) -> None:
    with client.images.generate(
        **CAT, n=2, stream=True, partial_images=2, extra_body={"steps": 3, "seed": 1}
    ) as stream:
        told: list[Any] = list(stream)
    *steps, one, two = told
    assert [(event.type, event.step, event.steps) for event in steps] == [
        ("image_generation.progress", step, 3) for step in (1, 2, 3)
    ]
    for event, seed in ((one, 1), (two, 2)):
        assert (event.type, event.seed) == ("image_generation.completed", seed)
        assert picture(event.b64_json).size == (64, 64)
        assert (event.size, event.output_format, event.quality) == ("64x64", "png", "auto")
        assert event.usage.image_steps == 3
        assert event.created_at > 0


def test_who_was_cut_off_gets_the_rest_in_the_same_words(simulated: Cluster, key: str) -> None:
    headers = {"X-API-Key": key, "X-Resume-Within": "20"}
    body = CAT | {"stream": True, "n": 2, "steps": 4}
    response = requests.post(f"{simulated.url}/v1/images/generations", json=body, headers=headers, timeout=30)
    told = events(response)
    assert [event.get("id") for event in told] == ["1", "2", "3", "4", None, "5"]
    job = response.headers["X-Job-Id"]
    after = {"X-API-Key": key, "Last-Event-ID": "3"}
    assert events(requests.get(f"{simulated.url}/v1/jobs/{job}/events", headers=after, timeout=30)) == told[3:]


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"response_format": "url"}, "response_format", "should be 'b64_json'"),
        ({"output_format": "webp"}, "output_format", "should be 'png'"),
        ({"output_compression": 50}, "output_compression", "should be 100"),
        ({"background": "transparent"}, "background", "'opaque'"),
        ({"size": "big"}, "size", "should be 'auto', or WIDTHxHEIGHT"),
        ({"n": 5}, "n", "from 1 to 4"),
        ({"partial_images": 2}, "partial_images", "needs `stream`"),
        ({"prompt": ""}, "prompt", "should not be empty"),
        ({"model": "fast"}, "model", "'fast' chats"),
        ({"extra_body": {"num_inference_steps": 5}}, "num_inference_steps", "send `steps`"),
        ({"extra_body": {"size": "2048x64"}}, "size", "from 64 to 1024"),
    ],
)
def test_a_refusal_names_its_field(client: openai.OpenAI, more: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(**CAT | more)
    assert (error.value.param, error.value.code) == (param, "invalid_request")
    assert words in str(error.value)


def test_a_stream_that_fails_says_so(client: openai.OpenAI) -> None:
    late: Any = {"extra_headers": {"X-Request-Timeout": "2"}, "extra_body": {"steps": 1000}}
    with client.images.generate(**CAT, stream=True, **late) as stream:
        first: Any = next(iter(stream))
        assert (first.type, first.step) == ("image_generation.progress", 1)
        with pytest.raises(openai.APIError) as error:
            list(stream)
    assert error.value.code == "timeout"
