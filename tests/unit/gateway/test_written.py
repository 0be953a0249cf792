"""How long a text, and JSON that is written anew, can get."""

import json
import sys
import tracemalloc
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import written
from gateway.written import CROWD, json_size, text_size

MARK, LOWER = "\u0301", "\u0323"  # that stands above a letter, and that stands below

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def nested(levels: int, members: int = 1) -> Any:
    """Objects in each other, where the innermost has so many members."""
    value: Any = dict.fromkeys(map(str, range(members)), 0)
    for _ in range(levels):
        value = {"p": value}
    return value


@given(JSON)
def test_however_json_is_written_it_is_no_longer(value: Any) -> None:
    size = json_size(value)
    for indent in (None, 1, 4):
        assert len(json.dumps(value, ensure_ascii=False, indent=indent).encode()) <= size
    assert len(msgspec.json.format(json.dumps(value, ensure_ascii=False).encode(), indent=4)) <= size


def test_what_is_no_longer_is_not_charged() -> None:
    value = {"type": "object", "properties": {"for": {"type": "string", "enum": ["größer", "\n"]}}, "required": []}
    assert json_size(value) <= len(json.dumps(value, ensure_ascii=False, indent=4).encode()) + 10


@given(JSON, st.integers(1, 500))
def test_it_is_counted_as_far_as_the_bound(value: Any, bound: int) -> None:
    assert json_size(value, bound) == min(bound, json_size(value))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e15, 18),
        (1e300, 6),
        (-1e-7, 6),
        (2**63, 19),
        (-(2**63), 20),
        (float("-inf"), 9),
        (True, 4),
        (False, 5),
        (None, 4),
        ("\x00", 8),
    ],
)
def test_plain_values_are_as_long_as_python_writes_them(value: Any, written: int) -> None:
    assert len(json.dumps(value)) == written == json_size(value)


@given(st.lists(st.text()))
def test_each_character_may_be_a_member(texts: list[str]) -> None:
    assert json_size(texts, each=5) == json_size(texts) + 5 * len("".join(texts))
    assert json_size({text: 1 for text in texts}, each=5) >= json_size({text: 1 for text in texts})


def peak(work: Any) -> int:
    """Bytes that some work takes at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_deep_body_is_counted_and_not_written() -> None:
    """960 KB, which are hundreds of megabytes once they are indented."""
    deep = [nested(90, 2000) for _ in range(45)]
    sizes: list[int] = []
    assert len(json.dumps(deep)) > 960_000
    assert peak(lambda: sizes.append(json_size(deep))) < 5_000_000
    assert sizes[0] >= 45 * 2000 * 4 * 90


class Watched(dict[str, Any]):
    """An object that counts how often its members are looked at."""

    looks = 0

    def values(self) -> Any:
        Watched.looks += 1
        return super().values()


def test_nothing_is_looked_at_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "looks", 0)
    value: Any = 0
    for _ in range(500):
        value = Watched(p=value)
    assert json_size(value) > 100_000
    assert Watched.looks == 500
    assert json_size([value] * 1000, 1000) == 1000
    assert Watched.looks == 500, "so many members are more than the bound by themselves"
    assert json_size(value, 1000) == 1000
    assert Watched.looks < 550


def test_depth_is_no_bound() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert json_size(deep) > 4 * 100_000**2 // 2
    while deep:  # or its end would be deeper than the stack
        deep = deep.pop()


@given(st.text(st.sampled_from(f"ae{MARK}{LOWER}\u0344\u1eaf\ud55c\U0001d160")))
def test_a_text_is_no_longer_however_it_is_composed(text: str) -> None:
    for form in ("NFC", "NFKC") if text.isascii() else ("NFC",):
        assert len(unicodedata.normalize(form, text).encode()) <= text_size(text)  # type: ignore[arg-type]


def test_a_crowd_of_marks_is_not_put_into_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes the square of their number."""
    crowd = "a" + (MARK + LOWER) * 10_000
    composed = len(unicodedata.normalize("NFC", crowd).encode())
    longest = []
    real = unicodedata.normalize

    def normalize(form: Any, text: str) -> str:
        longest.append(len(text))
        return real(form, text)

    monkeypatch.setattr(unicodedata, "normalize", normalize)
    assert composed <= text_size(crowd) <= composed + 3
    assert max(longest) == 1
    longest.clear()
    assert text_size(("a" + MARK * 30) * 1000) > 60_000
    assert max(longest) == 31_000, "so many stand on a letter in some languages"


def test_marks_are_those_that_combine() -> None:
    assert all(CROWD.match(mark * 31) for mark in (MARK, LOWER, "\u3099", "\U0001d165"))
    assert not any(unicodedata.combining(chr(code)) for code in range(0x20000, sys.maxunicode + 1))


def test_half_a_pair_is_counted() -> None:
    assert text_size("\ud800") == 3
    assert json_size(json.loads(r'{"a": "\ud800"}')) >= len('{"a": "   "}')


def test_what_is_too_long_already_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "CROWD", None)
    assert written.text_size("ö" * 9, 18) == 18
    assert written.json_size(["ö" * 9], 18) == 18
