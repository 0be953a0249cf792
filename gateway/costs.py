"""What a request can cost at most, in units, before anybody has counted its tokens. Hop 2.

So much is reserved when it is admitted, and settled at its end to what it has used. A token is at least a byte of
text, as the model's tokenizer has normalised it, and a prompt has no more of them than the model's context: no
request takes more than is reserved for it.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from gateway.written import json_size, text_size
from shared.catalog import MOST_CONTEXT, Model, Price
from shared.image_args import edges
from shared.lines import Rates
from shared.messages import Kind, prompts

FRAME = 256  # tokens that a chat template adds by itself, its own system message included
TURN = 16  # tokens that it adds to each message
TOOL = 128  # tokens that engine and template add to each tool, such as what was left out of it, as null
MEMBER = 8  # tokens that a template adds to each member of an argument; of a text, that is each character
BESIDE = 2  # that a tokenizer puts before a text: the mark of its beginning, and a space
PIXELS = 1024 * 1024  # of the image that a step's price is for
LENGTH = 64  # tokens of a simulated answer, if neither the entry nor the request says


class Cost(NamedTuple):
    """The most that a request costs: units, and images."""

    rates: Rates
    units: int
    images: int


def most(model: Model, kind: Kind, body: dict[str, Any]) -> Cost:
    """The most that a request costs; its body is as the model's workers get it."""
    return _image(model, body) if kind == "image" else _text(model, kind, body)


def _image(model: Model, body: dict[str, Any]) -> Cost:
    args = model.image_args
    width, height = edges(body.get("size") or args.size) or (0, 0)
    steps = body.get("steps") or min(model.image_steps, args.max_steps)
    images = body.get("n") or 1
    rate = math.ceil(model.price.step * width * height / PIXELS)
    return Cost(Rates(prompt=0, completion=0, step=rate), rate * steps * images, images)


def _text(model: Model, kind: Kind, body: dict[str, Any]) -> Cost:
    rates, bound = _rates(model.price), model.context or MOST_CONTEXT
    asked = _chat(body, bound) if kind == "chat" else [_size(prompt, bound) for prompt in prompts(body["prompt"])]
    most = [min(size, bound) for size in asked]
    answers = body.get("n") or 1
    said = body.get("max_completion_tokens") or body.get("max_tokens") or _longest(model, most)
    units = sum(size * rates.prompt for size in most)
    return Cost(rates, units + len(most) * answers * min(said, bound) * rates.completion, 0)


def _rates(price: Price) -> Rates:
    return Rates(prompt=price.prompt, completion=price.completion, step=0)


def _chat(body: dict[str, Any], bound: int) -> list[int]:
    """The most tokens of the one prompt that a chat makes: all that the request says may be in it."""
    messages, tools, given = body["messages"], body.get("tools"), body.get("chat_template_kwargs")
    size = FRAME
    for message in messages:
        if size >= bound:  # what follows costs nothing more, and takes time
            return [bound]
        size += _message(message, bound)
    if tools:
        size += json_size(tools, bound) + TOOL * len(tools)
    if given:
        # A template may write an argument with every message, as it does with the mark of a message's end.
        size += json_size(list(given.values()), bound, each=MEMBER) * (1 + len(messages))
    return [size]


def _message(message: dict[str, Any], bound: int) -> int:
    return TURN + _size(message, bound) + sum(_anew(text, bound) for text in _read(message))


def _read(message: dict[str, Any]) -> Iterator[str]:
    """What engines read as JSON, and templates write again: the arguments of calls, and what tools gave."""
    for call in message.get("tool_calls") or ():
        yield call["function"]["arguments"]
    content = message.get("content")
    if message.get("role") == "tool" and content:
        yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _anew(text: str, bound: int) -> int:
    """The most tokens of a text that may be JSON, once it is written anew: 1e15 becomes much longer, for one."""
    try:
        return json_size(json.loads(text), bound)
    except RecursionError:
        return bound
    except ValueError:
        return 0  # no JSON: it stays as it is


def _size(value: Any, bound: int) -> int:
    """The most tokens of a text, or of a part of a body as JSON; ids of tokens are counted."""
    if isinstance(value, list) and value and isinstance(value[0], int):
        return len(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return BESIDE + text_size(text, bound)


def _longest(model: Model, prompts: list[int]) -> int:
    """Tokens of an answer to a request that does not say; a simulated model may say its prompt again."""
    return model.context or max(int(model.engine_args.get("length", LENGTH)), *prompts)
