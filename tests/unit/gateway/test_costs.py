"""What a request can cost at most, before anybody has counted its tokens."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.bodies.completion import MOST_CHOICES
from gateway.bodies.dialects import openai_body
from gateway.bodies.sampling import MOST_ANSWERS, MOST_TOKENS
from gateway.costs import BESIDE, FRAME, TURN, most
from shared.catalog import MOST_CONTEXT, MOST_PRICE, Model, Price
from shared.errors import InvalidRequest
from shared.image_args import MAX_IMAGES, MAX_STEPS
from shared.lines import Rates
from shared.messages import Kind
from shared.tiers import MOST_LIMIT
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


def test_what_is_left_out_of_a_tool_is_written_as_null() -> None:
    least = {"type": "function", "function": {"name": "f"}}
    whole = {"type": "function", "function": {"name": "f", "description": None, "parameters": None}}
    for count in (1, 128):
        written = json.dumps([whole | {"defer_loading": None}] * count, indent=4)
        assert prompt_units(chat(tools=[least] * count)) - prompt_units(chat()) > len(written)


NUMBERS = json.dumps({"of": [1e15] * 500}).replace("1000000000000000.0", "1e15")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "tool_call_id": "1", "content": NUMBERS},
        {
            "role": "tool",
            "tool_call_id": "1",
            "content": [{"type": "text", "text": t} for t in NUMBERS.partition(" ")],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": NUMBERS}}],
        },
    ],
)
def test_what_engines_read_as_json_is_written_anew(message: dict[str, Any]) -> None:
    assert prompt_units(chat(message)) > len(json.dumps(json.loads(NUMBERS), indent=4)) > 4 * len(NUMBERS)


@pytest.mark.parametrize("said", ["no JSON", "{", "", "[" * 100_000, "9" * 5000, r'"\ud800"'])
def test_what_is_no_json_stays_as_it_is(said: str) -> None:
    returned = chat({"role": "tool", "tool_call_id": "1", "content": said})
    assert len(said) < prompt_units(returned, context=200_000) <= 200_000


# As in the templates of Llama 3.1, of its kin, and of TinyLlama.
DATED = "{{ 'Today Date: ' + date_string + '\n\n' }}"
CUSTOM = "{% for t in custom_tools %}{{ t | tojson(indent=4) }}{{ '\n\n' }}{% endfor %}"
BUILT_IN = "{{ 'Tools: ' + builtin_tools | reject('equalto', 'code_interpreter') | join(', ') }}"
ENDED = "{% for message in messages %}{{ message['content'] + eos_token }}{% endfor %}"
AS_IT_IS = "{% for message in messages %}{{ given }}{% endfor %}"


def render(template: str, body: dict[str, Any]) -> str:
    """As transformers do."""
    room = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    room.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return room.from_string(template).render(messages=body["messages"], **body["chat_template_kwargs"])


@pytest.mark.parametrize(
    ("template", "given"),
    [
        (DATED, {"date_string": "x" * 5000}),
        (CUSTOM, {"custom_tools": [TOOL] * 20}),
        (CUSTOM, {"custom_tools": "x" * 500}),
        (CUSTOM, {"custom_tools": "\x00" * 500}),
        (CUSTOM, {"custom_tools": [1e15] * 500}),
        (BUILT_IN, {"builtin_tools": ["brave_search"] * 100}),
        (BUILT_IN, {"builtin_tools": "x" * 500}),
        (ENDED, {"eos_token": "x" * 500}),
        (AS_IT_IS, {"given": ["\x00\U000e0001'\"\u200b" * 100]}),
        (AS_IT_IS, {"given": [True, False, None, 1e15] * 100}),
    ],
)
@pytest.mark.parametrize("count", [1, 20])
def test_all_that_a_template_can_write_of_its_arguments_is_charged(
    template: str, given: dict[str, Any], count: int
) -> None:
    messages = [{"role": "user", "content": "hi"}] * count
    body = openai_body(make_model(), {"messages": messages, "chat_template_kwargs": given})
    assert prompt_units(body) >= len(render(template, body).encode())


def test_a_switch_costs_next_to_nothing() -> None:
    assert prompt_units(chat(chat_template_kwargs={"enable_thinking": False})) - prompt_units(chat()) < 50
    assert prompt_units(chat(chat_template_kwargs={})) == prompt_units(chat())
    assert prompt_units(chat(chat_template_kwargs={"given": "x" * 10_000}), context=1000) == 1000


def test_whatever_else_a_template_could_read_is_not_taken() -> None:
    """Of all fields, those are charged that a template is given."""
    for name in ("documents", "chat_template", "media_io_kwargs", "mm_processor_kwargs"):
        with pytest.raises(InvalidRequest, match=name):
            openai_body(make_model(), chat(**{name: {}}))


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


DEAREST = Price(prompt=MOST_PRICE, completion=MOST_PRICE, step=MOST_PRICE)
LONG = "x" * 1_000_000


@pytest.mark.parametrize("context", [0, MOST_CONTEXT])
def test_the_dearest_request_costs_less_than_the_highest_limit(context: int) -> None:
    size = {"context": context} if context else {}
    told = {"max_tokens": MOST_TOKENS, "n": MOST_ANSWERS}
    answers = {"prompt": [LONG] * (MOST_CHOICES // MOST_ANSWERS)} | told
    assert 10**12 < units(answers, "completion", price=DEAREST, **size) < MOST_LIMIT
    prompts = {"prompt": [LONG] * MOST_CHOICES, "max_tokens": MOST_TOKENS}
    assert 10**12 < units(prompts, "completion", price=DEAREST, **size) < MOST_LIMIT
    spoken = chat(*[{"role": "user", "content": LONG}] * 50, chat_template_kwargs={"x": LONG}, **told)
    assert 10**11 < units(spoken, price=DEAREST, **size) < MOST_LIMIT


def test_the_dearest_pictures_cost_less_than_the_highest_limit() -> None:
    model = image(size="99992x99992", max_size=99_992, max_steps=MAX_STEPS).model_copy(update={"price": DEAREST})
    assert 10**11 < most(model, "image", {"n": MAX_IMAGES, "steps": MAX_STEPS}).units < MOST_LIMIT
