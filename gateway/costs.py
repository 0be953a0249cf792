"""What a request can cost at most, in units, before anybody has counted its tokens. Hop 2.

So much is reserved when it is admitted, and settled at its end to what it has used. A token is at least a byte of
text, as the model's tokenizer has normalised it, and a prompt has no more of them than the model's context: no
request takes more than is reserved for it.
"""

import math
import unicodedata
from typing import Any, NamedTuple

import msgspec

from shared.catalog import Model, Price
from shared.image_args import edges
from shared.lines import Rates
from shared.messages import Kind, prompts

FRAME = 256  # tokens that a chat template adds by itself, its own system message included
TURN = 16  # tokens that it adds to each message
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
    steps = body.get("steps") or model.image_steps
    images = body.get("n") or 1
    rate = math.ceil(model.price.step * width * height / PIXELS)
    return Cost(Rates(prompt=0, completion=0, step=rate), rate * steps * images, images)


def _text(model: Model, kind: Kind, body: dict[str, Any]) -> Cost:
    rates = _rates(model.price)
    asked = _chat(body) if kind == "chat" else [_size(prompt) for prompt in prompts(body["prompt"])]
    most = [min(size, model.context) if model.context else size for size in asked]
    answers = body.get("n") or 1
    said = body.get("max_completion_tokens") or body.get("max_tokens") or _longest(model, most)
    longest = min(said, model.context) if model.context else said
    units = sum(size * rates.prompt for size in most) + len(most) * answers * longest * rates.completion
    return Cost(rates, units, 0)


def _rates(price: Price) -> Rates:
    return Rates(prompt=price.prompt, completion=price.completion, step=0)


def _chat(body: dict[str, Any]) -> list[int]:
    """The most tokens of the one prompt that a chat makes: all that the request says may be in it."""
    # Templates write calls as JSON anew, with a space behind each comma and colon: twice is more than they take.
    messages = sum(TURN + _size(message) * (2 if message.get("tool_calls") else 1) for message in body["messages"])
    return [FRAME + messages + (_size(_indented(body["tools"])) if body.get("tools") else 0)]


def _indented(tools: Any) -> str:
    """As templates write them at the most: what it takes grows with the depth."""
    return msgspec.json.format(msgspec.json.encode(tools), indent=4).decode()


def _size(value: Any) -> int:
    """The most tokens of a text, or of a part of a body as JSON; ids of tokens are counted."""
    if isinstance(value, list) and value and isinstance(value[0], int):
        return len(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return max(len(form.encode()) for form in (text, unicodedata.normalize("NFC", text))) + BESIDE


def _longest(model: Model, prompts: list[int]) -> int:
    """Tokens of an answer to a request that does not say; a simulated model may say its prompt again."""
    return model.context or max(int(model.engine_args.get("length", LENGTH)), *prompts)
