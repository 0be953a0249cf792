"""How often each model answered its canaries: hour by hour of three days, and day by day of three months.

Told at /v1/status. The gateway whose turn it is to send canaries notes what came of them (gateway/canary.py). Of
hours and days without any, nothing is known: they are left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import redis

from shared import redis_keys as keys


@dataclass(frozen=True)
class Span:
    """Of so many `seconds`, beginning at multiples of them in Unix time; the last `most` are kept, the present one
    among them."""

    name: str
    seconds: int
    most: int

    def number(self, moment: float) -> int:
        """Which one a moment (Unix seconds) is in."""
        return int(moment // self.seconds)


HOUR = Span("hour", 3600, 72)
DAY = Span("day", 86_400, 90)
SPANS = {span.name: span for span in (HOUR, DAY)}

LASTS = (DAY.most + 1) * DAY.seconds
"""Seconds for which a model's history is kept after its last canary."""


@dataclass(frozen=True)
class Tally:
    """What came of the canaries of the hour or day that begins at `start`, in Unix seconds."""

    start: int
    succeeded: int
    failed: int


@dataclass(frozen=True)
class History:
    """A model's, the oldest first; days are UTC's."""

    hours: list[Tally]
    days: list[Tally]


class Uptime:
    """Kept in Redis, so that all gateways tell the same. Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def note(self, model: str, success: bool, at: float) -> None:
        """Count a canary that ended `at` this time (Unix seconds), and forget what is too old by then."""
        key = keys.uptime(model)
        with self._redis.pipeline(transaction=True) as pipe:
            for field in fields(success, at):
                pipe.hincrby(key, field, 1)
            pipe.expire(key, LASTS)
            pipe.hkeys(key)
            *_, known = pipe.execute()
        if gone := [field for field in known if is_over(field, at)]:
            self._redis.hdel(key, *gone)

    def read(self, models: Iterable[str]) -> list[dict[bytes, bytes]]:
        """What is kept of each of these models, in one step, for `history`."""
        with self._redis.pipeline(transaction=False) as pipe:
            for model in models:
                pipe.hgetall(keys.uptime(model))
            found: list[dict[bytes, bytes]] = pipe.execute()
        return found


def fields(success: bool, at: float) -> list[str]:
    """The fields of a model's hash that count a canary: of its hour, and of its day."""
    end = "succeeded" if success else "failed"
    return [f"{span.name}:{span.number(at)}:{end}" for span in SPANS.values()]


def is_over(field: bytes, now: float) -> bool:
    """Whether a field is of an hour or a day that is not kept any more; one of another version's making is not."""
    found = _FIELD.fullmatch(field)
    return found is not None and _is_old(SPANS[found["span"].decode()], int(found["number"]), now)


def history(found: Mapping[bytes, bytes], now: float) -> History:
    """What a model's hash tells at this time (Unix seconds)."""
    counts: dict[str, dict[int, dict[str, int]]] = {name: {} for name in SPANS}
    for field, count in found.items():
        if read := _FIELD.fullmatch(field):
            ends = counts[read["span"].decode()].setdefault(int(read["number"]), {})
            ends[read["end"].decode()] = int(count)
    return History(*(_tallies(span, counts[span.name], now) for span in SPANS.values()))


def _tallies(span: Span, counts: dict[int, dict[str, int]], now: float) -> list[Tally]:
    return [
        Tally(number * span.seconds, ends.get("succeeded", 0), ends.get("failed", 0))
        for number, ends in sorted(counts.items())
        if not _is_old(span, number, now)
    ]


def _is_old(span: Span, number: int, now: float) -> bool:
    return number <= span.number(now) - span.most


_FIELD = re.compile(rb"(?P<span>hour|day):(?P<number>\d{1,12}):(?P<end>succeeded|failed)")
