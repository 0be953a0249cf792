"""What workers report of themselves, and how the gateway and the command line read it."""

import logging
import math
from typing import Any, Literal

import msgspec
import redis

from shared import redis_keys as keys
from shared.scripts import script

log = logging.getLogger(__name__)

SHORTEST_TTL = 15
"""Seconds: a worker is not taken for dead because Redis was away for a few."""

WorkerState = Literal["loading", "ready", "draining"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's word on itself. `progress` runs from 0 to 1 while it loads; times are Unix seconds.

    `job_seconds` is how long its last jobs took, on average; 0 if it has done none.
    """

    id: str
    model: str
    engine: str
    state: WorkerState
    detail: str = ""
    progress: float = 0.0
    capacity: int = 0
    running: int = 0
    tokens_per_second: float = 0.0
    job_seconds: float = 0.0
    started: float = 0.0
    reported: float = 0.0


class Registry:
    """Reports expire when a worker stops renewing them, so what is read here is alive.

    Who reports says how often, in seconds: three reports in a row may fail to come.
    """

    def __init__(self, client: "redis.Redis", interval: float = 0) -> None:
        self._redis = client
        self._report = client.register_script(script("report", "lines"))
        self._ttl = max(SHORTEST_TTL, math.ceil(4 * interval))
        self._refused: set[str] = set()

    def report(self, report: Report) -> None:
        """Tell of a worker. What its model has room for, goes on at once."""
        places = report.capacity if report.state == "ready" else 0
        kept = report.running if report.state == "draining" else 0
        encoded = msgspec.json.encode(report)
        self._write(report.id, report.model, encoded, self._ttl, places, report.reported, kept)

    def remove(self, worker_id: str, model: str) -> None:
        """Forget a worker."""
        self._write(worker_id, model, b"", 0, 0, 0, 0)

    def _write(self, worker_id: str, model: str, *word: Any) -> None:
        self._report(keys=[keys.worker(worker_id), keys.WORKERS], args=[worker_id, model, *word])

    def workers(self, model: str | None = None) -> list[Report]:
        """All live workers, or those of one model, oldest first."""
        ids: Any = self._redis.zrange(keys.WORKERS, 0, -1)
        if not ids:
            return []
        found: Any = self._redis.mget([keys.worker(worker_id.decode()) for worker_id in ids])
        dead = [worker_id for worker_id, data in zip(ids, found, strict=True) if data is None]
        if dead:
            self._redis.zrem(keys.WORKERS, *dead)
        reports = [
            self._decode(worker_id, data) for worker_id, data in zip(ids, found, strict=True) if data is not None
        ]
        return sorted((r for r in reports if r and model in (None, r.model)), key=lambda r: r.started)

    def _decode(self, worker_id: bytes, data: bytes) -> Report | None:
        """A report; None if it is of another version's making, which is logged once."""
        try:
            return _REPORT.decode(data)
        except msgspec.DecodeError as error:
            name = worker_id.decode()
            if name not in self._refused:
                log.warning("the report of worker %s cannot be read, it is left out: %s", name, error)
                self._refused.add(name)
            return None


_REPORT = msgspec.json.Decoder(Report)
