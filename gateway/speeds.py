"""How fast each model's streams have been: of a rolling day, hour by hour, and ever.

Told at /v1/models/{id}/stats and /v1/status. It comes from the rows of usage, so from real traffic, which one
gateway at a time writes down (gateway/drain.py).
"""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

import msgspec
import redis

from shared import redis_keys as keys
from shared.ledger import UsageRow

HOUR = 3600
WINDOW = 24  # hours, the present one among them
FEWEST = 16  # tokens: the speed of less is that of the clock
EVER = b"ever"


class Speed(msgspec.Struct, frozen=True):
    """Tokens a second of so many streams, each from its first token to its last. `since` is when the first of them
    ended, in Unix seconds."""

    streams: int
    total: float
    low: float
    high: float
    since: float

    @property
    def average(self) -> float:
        return self.total / self.streams

    def __add__(self, other: "Speed") -> "Speed":
        return Speed(
            self.streams + other.streams,
            self.total + other.total,
            min(self.low, other.low),
            max(self.high, other.high),
            min(self.since, other.since),
        )


class Speeds:
    """Kept in Redis, so that all gateways tell the same. Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def note(self, rows: Iterable[UsageRow]) -> None:
        """Only one gateway does at a time."""
        noted: dict[str, dict[bytes, Speed]] = {}
        for row in rows:
            if (speed := _of(row)) is not None:
                fields = noted.setdefault(row.model, {})
                for field in (_field(row.ended), EVER):
                    fields[field] = fields[field] + speed if field in fields else speed
        for model, fields in noted.items():
            self._add(model, fields)

    def read(self, model: str, now: float) -> tuple[Speed | None, Speed | None]:
        """Of the rolling day, and ever; None where no stream was fast enough to tell, or there was none."""
        return _told(self._all(model), now)

    def read_all(self, models: Iterable[str], now: float) -> list[tuple[Speed | None, Speed | None]]:
        """The same of each of these models, in one step."""
        with self._redis.pipeline(transaction=False) as pipe:
            for model in models:
                pipe.hgetall(keys.speeds(model))
            return [_told(_decoded(found), now) for found in pipe.execute()]

    def _add(self, model: str, fields: dict[bytes, Speed]) -> None:
        found = self._all(model)
        newest = max(field for field in fields if field != EVER)
        gone = [field for field in found if field != EVER and int(field) <= int(newest) - WINDOW]
        with self._redis.pipeline(transaction=True) as pipe:
            for field, speed in fields.items():
                total = found[field] + speed if field in found else speed
                pipe.hset(keys.speeds(model), field, msgspec.json.encode(total))
            if gone:
                pipe.hdel(keys.speeds(model), *gone)
            pipe.execute()

    def _all(self, model: str) -> dict[bytes, Speed]:
        return _decoded(self._redis.hgetall(keys.speeds(model)))


def _decoded(found: Any) -> dict[bytes, Speed]:
    """A model's hash."""
    return {field: msgspec.json.decode(value, type=Speed) for field, value in found.items()}


def _told(found: dict[bytes, Speed], now: float) -> tuple[Speed | None, Speed | None]:
    recent = [speed for field, speed in found.items() if field != EVER and int(field) > now // HOUR - WINDOW]
    return reduce(add, recent) if recent else None, found.get(EVER)


def _of(row: UsageRow) -> Speed | None:
    """Whole answers do not tell when their first token was made; what failed was not as fast as it seems."""
    if row.state != "succeeded" or row.first is None or row.completion_tokens < FEWEST or row.ended <= row.first:
        return None
    speed = (row.completion_tokens - 1) / (row.ended - row.first)
    return Speed(1, speed, speed, speed, row.ended)


def _field(moment: float) -> bytes:
    """The hour of a moment."""
    return b"%d" % (moment // HOUR)
