"""Bodies: what is taken becomes OpenAI's shape, what is refused names its field and the fix."""

import json
import tracemalloc
from typing import Any

import pytest

from gateway.bodies import openai_body, openai_image_body, parse_json, seed_body, socket_body
from shared.catalog import Model, load_catalog
from shared.errors import InvalidRequest

CHAT = Model(id="m", kind="chat", engine="simulated", weights="", description="", context=100, max_tokens=50)
IMAGE = Model(id="i", kind="image", engine="simulated", weights="", description="")
TURN = {"role": "user", "content": "hi"}


def refused(call: Any, *args: Any) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as error:
        call(*args)
    return error.value.param, str(error.value)


def nested(value: Any, depth: int) -> Any:
    return nested([value], depth - 1) if depth else value


def test_the_seeds_chat_becomes_a_streamed_completion() -> None:
    body = seed_body(CHAT, {"messages": [TURN], "max_tokens": 7, "temperature": 0, "stop": ["a"]})
    assert body == {
        "model": "m",
        "messages": [TURN],
        "max_tokens": 7,
        "temperature": 0.0,
        "stop": ["a"],
        "stream": True,
    }


def test_the_models_own_limit_is_the_default() -> None:
    assert seed_body(CHAT, {"messages": [TURN]})["max_tokens"] == 50
    assert socket_body(CHAT, {"context": [TURN]})["max_tokens"] == 50
    assert openai_body(CHAT, {"messages": [TURN]})["max_tokens"] == 50
    assert openai_body(CHAT, {"messages": [TURN], "max_tokens": None})["max_tokens"] == 50
    assert "max_tokens" not in openai_body(CHAT, {"messages": [TURN], "max_completion_tokens": 3})


def test_images_take_their_own_fields() -> None:
    assert seed_body(IMAGE, {"prompt": "cat", "steps": 3}) == {"prompt": "cat", "steps": 3}
    assert socket_body(IMAGE, {"prompt": "cat"}) == {"prompt": "cat"}


@pytest.mark.parametrize(
    ("data", "param", "words"),
    [
        ({}, "messages", "required"),
        ({"messages": "hi"}, "messages", "list"),
        ({"messages": []}, "messages", "should not be empty"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role", "'assistant'"),
        ({"messages": [TURN, {"role": "user"}]}, "messages[1].content", "required"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "should be a text, got 3"),
        ({"messages": [TURN], "max_tokens": 0}, "max_tokens", "integer from 1"),
        ({"messages": [TURN], "max_tokens": "9"}, "max_tokens", "integer"),
        ({"messages": [TURN], "max_tokens": True}, "max_tokens", "integer"),
        ({"messages": [TURN], "temperature": 3}, "temperature", "should be a number from 0 to 2, got 3"),
        ({"messages": [TURN], "stop": [1]}, "stop[0]", "should be a text, got 1"),
        ({"messages": [TURN], "max_token": 3}, "max_token", "did you mean 'max_tokens'?"),
        ({"messages": [TURN], "zzz": 3}, "zzz", "known fields: max_tokens"),
    ],
)
def test_a_bad_chat_names_field_and_fix(data: dict[str, Any], param: str, words: str) -> None:
    found, message = refused(seed_body, CHAT, data)
    assert found == param
    assert message.startswith(param)
    assert words in message


def test_a_bad_image_names_its_field() -> None:
    assert refused(seed_body, IMAGE, {"messages": [TURN]})[0] in ("prompt", "messages")
    assert refused(seed_body, IMAGE, {"prompt": ""})[0] == "prompt"
    assert refused(seed_body, IMAGE, {"prompt": "x", "steps": 0})[0] == "steps"


def test_openais_images_keep_what_an_engine_reads() -> None:
    data = {"model": "i", "prompt": "cat", "n": 2, "size": "auto", "steps": 3, "quality": "hd", "stream": True}
    assert openai_image_body(IMAGE, data | {"partial_images": 1, "user": None}) == {
        "prompt": "cat",
        "n": 2,
        "steps": 3,
    }
    assert openai_image_body(IMAGE, {"prompt": "cat", "size": "64x72"}) == {"prompt": "cat", "size": "64x72"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"steps": 51}, "steps: should be an integer from 1 to 50, got 51"),
        ({"size": "264x64"}, "size: should be WIDTHxHEIGHT in pixels, each a multiple of 8 from 64 to 256"),
        ({"guidance_scale": 31}, "guidance_scale: should be a number from 0 to 30, got 31"),
    ],
)
@pytest.mark.parametrize("body", [seed_body, socket_body, openai_image_body])
def test_an_image_is_within_its_models_bounds(body: Any, more: dict[str, Any], words: str) -> None:
    tiny = load_catalog().find("sdxl-tiny")
    body(tiny, {"prompt": "cat", "steps": 50, "size": "256x64", "guidance_scale": 30})
    assert words in refused(body, tiny, {"prompt": "cat"} | more)[1]


@pytest.mark.parametrize("body", [seed_body, socket_body, openai_image_body])
def test_so_is_a_simulated_one(body: Any) -> None:
    body(IMAGE, {"prompt": "cat", "size": "1024x64", "steps": 1000})
    assert refused(body, IMAGE, {"prompt": "cat", "size": "1032x64"})[0] == "size"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"response_format": "url"}, "response_format"),
        ({"image": "x"}, "image"),
        ({"n": 0}, "n"),
        ({"size": "64"}, "size"),
        ({"size": "65x64"}, "size"),
        ({"partial_images": 3}, "partial_images"),
        ({"promt": "x"}, "promt"),
        ({"prompt": " \n"}, "prompt"),
    ],
)
def test_a_bad_image_request_names_its_field(more: dict[str, Any], param: str) -> None:
    found, message = refused(openai_image_body, IMAGE, {"prompt": "cat"} | more)
    assert found == param
    assert message.startswith(f"{param}: ")


def test_a_chat_model_makes_no_images() -> None:
    assert refused(openai_image_body, CHAT, {"prompt": "cat"}) == (
        "model",
        "model: 'm' chats, it does not make images",
    )


def test_images_are_not_for_chats() -> None:
    assert refused(openai_body, IMAGE, {"messages": [TURN]})[0] == "model"


@pytest.mark.parametrize(
    "null", [{"max_tokens": None}, {"stop": None, "seed": None}, {"messages": [TURN | {"name": None}]}]
)
def test_null_is_as_good_as_left_out(null: dict[str, Any]) -> None:
    data = {"messages": [TURN]}
    assert seed_body(CHAT, data | null) == seed_body(CHAT, data)
    assert seed_body(IMAGE, {"prompt": "cat", "steps": None}) == {"prompt": "cat"}


@pytest.mark.parametrize("body", [seed_body, openai_body])
def test_an_answer_is_no_longer_than_the_context(body: Any) -> None:
    words = "max_tokens: should be at most 100, the context of 'm', got 101"
    assert refused(body, CHAT, {"messages": [TURN], "max_tokens": 101}) == ("max_tokens", words)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"ids": [10**4000]}, "ids[0]"),
        ({"ids": [-(2**63) - 1]}, "ids[0]"),
        ({"a": [0, {"b": {"c": [2**64]}}]}, "a[1].b.c[0]"),
        ({"k" * 999: [2**63]}, "k" * 80),
        ({"deep": nested(2**63, 500)}, ("deep" + "[0]" * 500)[:80]),
    ],
)
def test_an_integer_of_more_than_64_bits_is_named(body: dict[str, Any], param: str) -> None:
    for data in (json.dumps(body), json.dumps(body).encode()):
        found, message = refused(parse_json, data)
        assert found == param
        assert message.startswith(
            f"{param}: should be an integer from -9223372036854775808 to 9223372036854775807"
        )
        assert len(message) < 250


def test_finding_an_integer_takes_little_memory() -> None:
    data = json.dumps({"last": [2**63], "deep": nested([[]] * 20_000, 900)})  # looked at from the end on
    tracemalloc.start()
    try:
        assert refused(parse_json, data)[0] == "last[0]"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("body", [{"seed": 2**63}, {"max_tokens": -(2**63) - 1}, {"top_k": 10**4000}])
def test_a_field_of_more_than_64_bits_is_told_its_own_range(body: dict[str, Any]) -> None:
    (name,) = body
    data = parse_json(json.dumps(body | {"messages": [TURN]}))
    param, message = refused(seed_body, CHAT, data)
    assert param == name
    assert message.startswith(f"{name}: should be an integer from ")
    assert len(message) < 250


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ('{"a": [{"b": NaN}]}', "a[0].b", "should be a number of at most 64 bits, got NaN"),
        ('{"a": -1e400}', "a", "got -1e400"),
        ('{"a": %s}' % ("1" * 9_000), "a", "got 111111111111111111111111111111"),
        (r'{"a": ["", "x\ud800"]}', "a[1]", "should be Unicode text, got half of a surrogate pair"),
        (r'{"a": {"\udfff": [1]}}', r"a.\udfff", "half of a surrogate pair"),
        (b'{"a": "\xed\xa0\x80"}', "a", "half of a surrogate pair"),
    ],
)
def test_what_stands_for_no_number_or_text_is_named(body: str | bytes, param: str, words: str) -> None:
    found, message = refused(parse_json, body)
    assert found == param
    assert message.startswith(f"{param}: ")
    assert words in message
    json.dumps(message, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ["metadata", "logit_bias", "prompt_cache_options", "stream_options"])
def test_an_object_of_very_many_mistakes_is_one_mistake(name: str) -> None:
    many = {f"a{number}": [] for number in range(10_000)}
    found, message = refused(openai_body, CHAT, {"messages": [TURN], "stream": True, name: many})
    assert found == (f"{name}.a0" if name == "stream_options" else name)
    assert len(message) < 120


def test_what_only_looks_like_a_long_integer_is_taken() -> None:
    fields = {"most": 2**63 - 1, "least": -(2**63), "text": "9" * 50, "float": 1e25}
    assert parse_json(json.dumps(fields)) == fields


@pytest.mark.parametrize(
    "data", ["", "{", "[1]", "null", '"x"', "3", "NaN", '{"a": NaN}', "[" * 100_000, b"\xff", r'{"a": "\ud800"}']
)
def test_what_is_no_json_object_is_refused(data: str | bytes) -> None:
    refused(parse_json, data)


def test_a_long_wrong_value_is_not_echoed_whole() -> None:
    _, message = refused(seed_body, CHAT, {"messages": [TURN], "max_tokens": "9" * 10_000})
    assert len(message) < 300


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'\xef\xbb\xbf{"a": 1}', "the body begins with a byte order mark"),
        ('\ufeff{"a": 1}', "the body begins with a byte order mark"),
        (b'{"a": "b", "c": "d\xff"}', "the body is not UTF-8: byte 18 is 0xff"),
        (b'{"a": "\xc3"}', "the body is not UTF-8: byte 7 is 0xc3"),
    ],
)
def test_bytes_that_are_no_text_are_told_by_their_place_in_the_body(body: str | bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_json(body)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": -1}, "max_tokens: should be an integer from 1 on, got -1"),
        ({"max_tokens": 5000}, "max_tokens: should be at most 100, the context of 'm', got 5000"),
        ({"n": 0}, "n: should be an integer from 1 to 8, got 0"),
        ({"logit_bias": {"12345678": 1}}, "logit_bias: should have ids of at most 7 digits, got 12345678"),
        ({"": 1}, '"": unknown field; leave it out'),
        ({"messages": [TURN | {"zzz": 1}]}, "messages[0].zzz: unknown field; leave it out"),
        (
            {"stream_options": {"": 1}},
            'stream_options."": unknown field; known fields: include_usage, continuous_usage_stats, include_obf',
        ),
        (
            {"stream_options": {str(n): 1 for n in range(9)}},
            "stream_options.0: unknown field; known fields: include_usage, continuous_usage_stats, include_obf",
        ),
    ],
)
def test_a_mistake_is_told_in_words_that_help(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        openai_body(CHAT, {"messages": [TURN]} | fields)
    assert str(error.value).startswith(words)
