"""The workers as the gateway knows them: the registry, read at most once a second."""

import time

import redis
from gevent.lock import BoundedSemaphore

from shared.registry import Registry, Report

FRESH = 1.0  # seconds
ASKED_AGAIN = 0.05  # seconds after which a no is not good enough


class Roster:
    """Live workers. Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._registry = Registry(client)
        self._reports: list[Report] = []
        self._read = float("-inf")
        self._failure: redis.RedisError | None = None
        self._reading = BoundedSemaphore(1)

    def workers(self) -> list[Report]:
        """All live workers, oldest first; the answer may be a second old, and so may a failure."""
        with self._reading:
            if time.monotonic() - self._read >= FRESH:
                self._refresh()
            if self._failure:
                raise self._failure
            return self._reports

    def ready(self, model: str) -> list[Report]:
        """The workers that run jobs of this model."""
        return [report for report in self.workers() if report.model == model and report.state == "ready"]

    def loads(self, model: str) -> bool:
        """Whether any worker of this model will be ready once it has loaded it."""
        return any(report.model == model and report.state == "loading" for report in self.workers())

    def loading(self, model: str) -> float | None:
        """Seconds until a worker of this model is ready, as far as those that load can tell; None if none can."""
        return min(filter(None, (_left(r) for r in self.workers() if r.model == model)), default=None)

    def serves(self, model: str) -> bool:
        """Whether any worker takes, or soon will take, jobs of this model. A no is hardly ever old."""
        if not self._takes(model):
            with self._reading:
                if time.monotonic() - self._read >= ASKED_AGAIN:
                    self._refresh()
        return self._takes(model)

    def _takes(self, model: str) -> bool:
        return any(report.model == model and report.state != "draining" for report in self.workers())

    def _refresh(self) -> None:
        try:
            self._reports, self._failure = self._registry.workers(), None
        except redis.RedisError as error:
            self._failure = error
        self._read = time.monotonic()


def _left(report: Report) -> float | None:
    """Seconds, if it goes on as it began."""
    if report.state != "loading" or report.progress <= 0:
        return None
    return (report.reported - report.started) * (1 - report.progress) / report.progress
