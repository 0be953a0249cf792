"""GET /v1/status: all models now, how fast their streams were, and how often their canaries were answered.

For pages that anybody may leave open: Redis is asked once a second, however many look.
"""

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from flask import Blueprint, Response
from gevent.lock import BoundedSemaphore
from redis.exceptions import RedisError

from gateway.api.models import ever_told, pool_state, speed_told
from gateway.api.query import flag, query
from gateway.outages import reaching_queue
from gateway.pools import Pool, Pools
from gateway.speeds import HOUR, WINDOW, Speed, Speeds
from gateway.turns import Turn
from gateway.uptime import Tally, Uptime, history
from shared.catalog import Catalog, Model

FRESH = 1  # seconds
HISTORY_FRESH = 10.0  # seconds: it is the most of all there is to tell, and changes with each canary only

T = TypeVar("T")


def status_api(catalog: Catalog, pools: Pools, speeds: Speeds, uptime: Uptime) -> Blueprint:
    api = Blueprint("status", __name__)
    board = Board(catalog, pools, speeds, uptime)

    @api.get("/v1/status")
    def status() -> Response:
        whole = flag(query("uptime"), "uptime", usual=True)
        with reaching_queue():
            body = msgspec.json.encode(board.read(whole=whole))
        response = Response(body, mimetype="application/json")
        response.cache_control.public = True
        response.cache_control.max_age = FRESH
        return response

    return api


class Board:
    """What is told; read from Redis at most once a second, and what is past every ten. Raises redis errors."""

    def __init__(self, catalog: Catalog, pools: Pools, speeds: Speeds, uptime: Uptime) -> None:
        self._models = list(catalog.models.values())
        self._names = list(catalog.models)
        self._pools = pools
        self._speeds = speeds
        self._uptime = uptime
        self._present = _Kept(self._read_present, FRESH)
        self._past = _Kept(self._read_past, HISTORY_FRESH)

    def read(self, *, whole: bool) -> dict[str, Any]:
        """The answer; without `uptime` if it is not to be the whole."""
        present = self._present.read()
        if not whole:
            return present
        past = self._past.read()
        return present | {"models": [entry | {"uptime": past[entry["id"]]} for entry in present["models"]]}

    def _read_present(self) -> dict[str, Any]:
        now = time.time()
        pools, speeds = self._pools.all(), self._speeds.read_all(self._names, now)
        models = [
            _entry(model, pool) | _speeds_told(*each)
            for model, pool, each in zip(self._models, pools, speeds, strict=True)
        ]
        return {"object": "status", "now": round(now, 3), "cluster": _cluster(models), "models": models}

    def _read_past(self) -> dict[str, msgspec.Raw]:
        """By model, as it is sent."""
        told: dict[str, msgspec.Raw] = {}
        turn = Turn()
        for model, found in zip(self._names, self._uptime.read(self._names), strict=True):
            told[model] = _history_told(found)
            turn.give_way()
        return told


class _Kept(Generic[T]):
    """What is made at most once in so many seconds, while all who ask wait for it together. So is a failure."""

    def __init__(self, make: Callable[[], T], fresh: float) -> None:
        self._make = make
        self._fresh = fresh
        self._made = float("-inf")
        self._kept: T | RedisError
        self._making = BoundedSemaphore(1)

    def read(self) -> T:
        with self._making:
            if time.monotonic() - self._made >= self._fresh:
                try:
                    self._kept = self._make()
                except RedisError as error:
                    self._kept = error
                self._made = time.monotonic()
            if isinstance(self._kept, RedisError):
                raise self._kept.with_traceback(None)  # else it would grow with each who is told it
            return self._kept


def _entry(model: Model, pool: Pool) -> dict[str, Any]:
    """A model now. Its speed is not known while no worker has loaded it, and images have no tokens."""
    states = {state for state, count in pool.workers.items() if count}
    measured = model.kind != "image" and not states.isdisjoint(("ready", "draining"))
    return {
        "id": model.id,
        "kind": model.kind,
        "state": pool_state(states),
        "workers": sum(pool.workers.values()),
        "running": pool.running,
        "waiting": pool.waiting,
        "tokens_per_second": pool.tokens_per_second if measured else None,
    }


def _speeds_told(day: Speed | None, ever: Speed | None) -> dict[str, Any]:
    return {"speed": speed_told(day) | {"window_seconds": WINDOW * HOUR}, "ever": ever_told(ever)}


def _cluster(models: list[dict[str, Any]]) -> dict[str, Any]:
    measured = [entry["tokens_per_second"] for entry in models if entry["tokens_per_second"] is not None]
    sums = {name: sum(entry[name] for entry in models) for name in ("running", "waiting", "workers")}
    return {"tokens_per_second": round(sum(measured), 1) if measured else None} | sums


def _history_told(found: dict[bytes, bytes]) -> msgspec.Raw:
    past = history(found, time.time())
    days = [_tally("day", "%Y-%m-%d", each) for each in past.days]
    hours = [_tally("hour", "%Y-%m-%dT%H:%M:%SZ", each) for each in past.hours]
    return msgspec.Raw(msgspec.json.encode({"days": days, "hours": hours}))


def _tally(name: str, form: str, tally: Tally) -> dict[str, Any]:
    begin = time.strftime(form, time.gmtime(tally.start))
    return {name: begin, "succeeded": tally.succeeded, "failed": tally.failed}
