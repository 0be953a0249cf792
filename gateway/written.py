"""How long a text, and JSON that somebody writes anew, can get: in bytes, without writing any. Hop 2."""

import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

INDENT = 4  # spaces for each level, as chat templates have it at the most
FLOAT = 9  # bytes of "-Infinity"; other numbers with a point may be longer
UNNAMED = 0x20000  # code points from here on combine with nothing

MARKS = "".join(chr(code) for code in range(UNNAMED) if unicodedata.combining(chr(code)))
CROWD = re.compile(f"[{MARKS}]{{31,}}")
"""More marks on one character than any language puts there: to order them takes the square of their number."""


def text_size(text: str) -> int:
    """The most bytes of a text, as it is or as a tokenizer has normalised it (NFC)."""
    if text.isascii():
        return len(text)
    raw = _bytes(text)
    if not CROWD.search(text):
        return max(raw, _bytes(unicodedata.normalize("NFC", text)))
    # Taken apart, it is as long as it gets: to be composed again makes no text longer.
    return max(raw, sum(count * _bytes(unicodedata.normalize("NFD", c)) for c, count in Counter(text).items()))


def json_size(value: Any, bound: int = sys.maxsize, *, each: int = 0) -> int:
    """The most bytes of a value from JSON, once it is written anew, with line breaks and indented. `each` is added
    for every character of its texts. It is counted as far as the `bound`, and no further."""
    size, margin, level = 0, 0, [value]
    while level:
        below: list[Any] = []
        for member in level:
            size += _own_size(member, margin, each)
            if size >= bound:
                return bound
            below.extend(_members(member))
        margin, level = margin + INDENT, below
    return size


def _own_size(value: Any, margin: int, each: int) -> int:
    """Of a value without its members, where lines begin with so many spaces."""
    match value:
        case str():
            return text_size(json.dumps(value, ensure_ascii=False)) + each * len(value)
        case bool() | None:
            return len(str(value))
        case int():
            return value.bit_length() // 3 + 2  # a digit has more than three bits; it may have a sign
        case float():
            return max(FLOAT, len(repr(value)))
    names = sum(_own_size(name, 0, each) + len(": ") for name in value) if isinstance(value, dict) else 0
    lines = len(value) * (len(",\n") + margin + INDENT)
    return len("[\n]") + margin + names + lines


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _bytes(text: str) -> int:
    # JSON may have half of a pair of surrogates, which is no text, and has to be counted all the same.
    return len(text.encode(errors="surrogatepass"))
