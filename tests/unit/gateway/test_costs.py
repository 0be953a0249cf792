"""What a request can cost at most, before anybody has counted its tokens."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.costs import BESIDE, FRAME, TURN, most
from shared.catalog import Model, Price
from shared.lines import Rates
from shared.messages import Kind
from tests.factories import make_model

TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"for": {"type": "string"}}}},
}


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(messages) or [{"role": "user", "content": "hi"}], "max_tokens": 10, **more}


def units(body: dict[str, Any], kind: Kind = "chat", **model: Any) -> int:
    return most(make_model(**model), kind, body).units


def prompt_units(body: dict[str, Any], **model: Any) -> int:
    """Of the prompt alone."""
    return units(body, "chat" if "messages" in body else "completion", price=Price(completion=0), **model)


def test_a_chat_costs_its_bytes_and_its_longest_answer() -> None:
    said = '{"role":"user","content":"hi"}'
    assert units(chat()) == FRAME + TURN + len(said) + BESIDE + 10
    assert units(chat(max_tokens=20)) == units(chat()) + 10
    assert units(chat(max_completion_tokens=30)) == units(chat()) + 20
    assert units(chat(n=3)) == units(chat()) + 20


def test_all_that_a_chat_says_may_be_in_its_prompt() -> None:
    message = {"role": "user", "content": "hi"}
    assert prompt_units(chat(message, message)) > prompt_units(chat(message)) + TURN
    parts = [{"type": "text", "text": "x" * 500}, {"type": "text", "text": "y" * 500}]
    assert prompt_units(chat({"role": "user", "content": parts})) > 1000
    called = {"id": "1", "type": "function", "function": {"name": "look", "arguments": json.dumps([1] * 500)}}
    assert prompt_units(chat({"role": "assistant", "tool_calls": [called]})) > 2 * len(json.dumps([1] * 500))
    assert prompt_units(chat({"role": "tool", "tool_call_id": "1", "content": "z" * 500})) > 500


def test_tools_cost_what_templates_make_of_them() -> None:
    with_tools = prompt_units(chat(tools=[TOOL])) - prompt_units(chat())
    assert with_tools >= len(json.dumps([TOOL], indent=4))
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"p": deep}
    tool = {"type": "function", "function": {"name": "deep", "parameters": deep}}
    assert prompt_units(chat(tools=[tool])) > len(json.dumps(tool, indent=4))
    assert prompt_units(chat(tools=None)) == prompt_units(chat(tools=[])) == prompt_units(chat())


@pytest.mark.parametrize(
    ("prompt", "cost"),
    [
        ("hello", 5 + BESIDE),
        ("", BESIDE),
        ("äöü", 6 + BESIDE),
        (["hello", "hi"], 7 + 2 * BESIDE),
        ([7, 8, 9], 3),
        ([[7, 8, 9], [1]], 4),
    ],
)
def test_a_completion_costs_its_prompts(prompt: Any, cost: int) -> None:
    count = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    assert units({"prompt": prompt, "max_tokens": 10}, "completion") == cost + 10 * count
    assert units({"prompt": prompt, "max_tokens": 10, "n": 4}, "completion") == cost + 40 * count


def test_nothing_is_longer_than_the_context() -> None:
    long = {"role": "user", "content": "x" * 10_000}
    assert units(chat(long), context=1000) == 1000 + 10
    assert units(chat(long, max_tokens=10**9, n=2), context=1000) == 1000 + 2 * 1000
    assert units({"prompt": ["x" * 5000, "y" * 10], "max_tokens": 7000}, "completion", context=1000) == (
        1000 + 10 + BESIDE + 2 * 1000
    )


def test_who_does_not_say_may_get_all_that_there_is() -> None:
    silent = {"messages": [{"role": "user", "content": "x" * 300}]}
    assert units(silent, context=1000) - prompt_units(silent, context=1000) == 1000
    # Without a context, a simulated model: it may say the prompt again, or as much as it is told to.
    assert units(silent) == 2 * prompt_units(silent)
    assert units(silent, engine_args={"length": 5000}) == prompt_units(silent) + 5000
    assert units({"prompt": "x", "max_tokens": 0}, "completion", context=50) == 1 + BESIDE + 50


def test_prices_are_the_catalogues() -> None:
    cost = most(make_model(price=Price(prompt=2, completion=5)), "completion", {"prompt": "abc", "max_tokens": 4})
    assert cost == (Rates(prompt=2, completion=5, step=0), 2 * (3 + BESIDE) + 5 * 4, 0)


def image(**args: Any) -> Model:
    price = Price(step=50)
    return make_model(kind="image", engine="diffusers", weights="w", engine_args=args, price=price)


@pytest.mark.parametrize(
    ("body", "args", "steps", "rate", "images"),
    [
        ({}, {}, 30, 50, 1),
        ({"steps": 20}, {}, 20, 50, 1),
        ({"steps": 20, "n": 4}, {}, 80, 50, 4),
        ({"size": "512x512"}, {}, 30, 13, 1),
        ({"size": "512x1024"}, {}, 30, 25, 1),
        ({"size": "64x64"}, {}, 30, 1, 1),
        ({"n": 2}, {"steps": 4, "size": "256x256"}, 8, 4, 2),
    ],
)
def test_an_image_costs_its_steps_by_its_size(
    body: dict[str, Any], args: dict[str, Any], steps: int, rate: int, images: int
) -> None:
    cost = most(image(**args), "image", {"prompt": "a fox"} | body)
    assert cost == (Rates(prompt=0, completion=0, step=rate), rate * steps, images)


def test_a_simulated_image_costs_no_less_than_it_takes() -> None:
    model = make_model(kind="image", engine_args={"steps": 40})
    assert most(model, "image", {"prompt": "x"}).units >= 40


# A tokenizer that knows bytes and no more has a token for each: that is what is reserved. Before that, it may
# compose characters (NFC), which makes some of them longer.


@given(st.text())
def test_a_prompt_has_no_more_tokens_than_it_has_bytes_once_it_is_composed(text: str) -> None:
    composed = unicodedata.normalize("NFC", text).encode()
    for reserved in (
        prompt_units({"prompt": text, "max_tokens": 1}),
        prompt_units(chat({"role": "user", "content": text})) - FRAME - TURN,
    ):
        assert reserved >= max(len(composed), len(text.encode())) + BESIDE


def test_composing_makes_some_longer() -> None:
    assert units({"prompt": "\U0001d160" * 100, "max_tokens": 1}, "completion") > 1200
