"""How long a text, and JSON that a chat template writes anew, can get, in bytes. Hop 2."""

import json
import re
import sys
import unicodedata
from collections import Counter
from typing import Any

INDENT = 4  # spaces for each level, as chat templates have it at the most
UNNAMED = 0x20000  # code points from here on combine with nothing

CONTAINERS = (dict, list)

MARKS = "".join(chr(code) for code in range(UNNAMED) if unicodedata.combining(chr(code)))
CROWD = re.compile(f"[{MARKS}]{{31,}}")
"""More marks on one character than any language puts there: to order them takes the square of their number."""


def text_size(text: str, bound: int = sys.maxsize) -> int:
    """The most bytes of a text, as it is or as a tokenizer has normalised it (NFC). One that reaches the `bound`
    as it is, is looked at no further."""
    if text.isascii():
        return len(text)
    raw = _bytes(text)
    if raw >= bound:
        return raw
    if not CROWD.search(text):
        return max(raw, _bytes(unicodedata.normalize("NFC", text)))
    # Taken apart, it is as long as it gets: to be composed again makes no text longer.
    return max(raw, sum(count * _bytes(unicodedata.normalize("NFD", c)) for c, count in Counter(text).items()))


def json_size(value: Any, bound: int = sys.maxsize, *, each: int = 0) -> int:
    """The most bytes of a value from JSON, once Python has written it anew, with line breaks and indented: what
    grows with the depth is counted and not written. `each` is added for every character of its texts. What reaches
    the `bound` is looked at no further."""
    if not isinstance(value, CONTAINERS):
        return min(bound, _plain_size([value], each, bound))
    size, margin, level = 0, 0, [value]
    while level:
        below: list[Any] = []
        for container in level:
            names, members = (container, container.values()) if isinstance(container, dict) else ((), container)
            size += len("[\n]") + margin + len(members) * (len(",\n") + margin + INDENT)
            if size < bound:
                plain = [member for member in members if not isinstance(member, CONTAINERS)]
                size += _plain_size(plain, each, bound) + _plain_size(list(names), each, bound)
                size += len(names) * len(": ")
                below.extend(member for member in members if isinstance(member, CONTAINERS))
            if size >= bound:
                return bound
        margin, level = margin + INDENT, below
    return size


def _plain_size(values: list[Any], each: int, bound: int) -> int:
    """Of texts, numbers and the like, all at once: one by one takes ten times as long."""
    if not values:
        return 0
    texts = sum(len(value) for value in values if isinstance(value, str)) if each else 0
    beside = len(", ") * len(values)
    return text_size(json.dumps(values, ensure_ascii=False), bound + beside) - beside + each * texts


def _bytes(text: str) -> int:
    # JSON may have half of a pair of surrogates, which is no text, and has to be counted all the same.
    return len(text.encode(errors="surrogatepass"))
