"""Where two replies differ."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

CLOSE = 1e-4
"""Logarithms of probabilities that are no further apart are equal: engines may add up in another order."""


class Absent:
    """What is not there."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


@dataclass(frozen=True)
class Gap:
    """A place in the reply, such as `body.choices[0].text`, and what is there on either side."""

    place: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.place}: ours {_short(self.ours)}, vLLM's {_short(self.theirs)}"


def gaps(ours: dict[str, Any], theirs: dict[str, Any]) -> list[Gap]:
    """All places where the replies differ; of different states only these, as `status OURS for THEIRS`."""
    if ours["status"] != theirs["status"]:
        return [Gap(f"status {ours['status']} for {theirs['status']}", ours.get("body"), theirs.get("body"))]
    return list(_gaps(ours, theirs, ""))


def _gaps(ours: Any, theirs: Any, place: str) -> Iterator[Gap]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in [*theirs, *(name for name in ours if name not in theirs)]:
            yield from _gaps(ours.get(name, ABSENT), theirs.get(name, ABSENT), f"{place}.{name}".lstrip("."))
    elif isinstance(ours, list) and isinstance(theirs, list):
        for number, (mine, other) in enumerate(zip_longest(ours, theirs, fillvalue=ABSENT)):
            yield from _gaps(mine, other, f"{place}[{number}]")
    elif not _equal(ours, theirs):
        yield Gap(place, ours, theirs)


def _equal(ours: Any, theirs: Any) -> bool:
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, float):
        return math.isclose(ours, theirs, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(ours == theirs)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:199] + "…"
