"""The workers as the gateway knows them: the registry, read at most once a second."""

import time

import redis
from gevent.lock import BoundedSemaphore

from shared.registry import Registry, Report

FRESH = 1.0  # seconds


class Roster:
    """Live workers. Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._registry = Registry(client)
        self._reports: list[Report] = []
        self._read = float("-inf")
        self._reading = BoundedSemaphore(1)

    def workers(self) -> list[Report]:
        """All live workers, oldest first; the answer may be a second old."""
        with self._reading:
            if time.monotonic() - self._read >= FRESH:
                self._refresh()
        return self._reports

    def serves(self, model: str) -> bool:
        """Whether any worker takes, or soon will take, jobs of this model. A no is never old."""
        if not self._takes(model):
            with self._reading:
                self._refresh()
        return self._takes(model)

    def _takes(self, model: str) -> bool:
        return any(report.model == model and report.state != "draining" for report in self.workers())

    def _refresh(self) -> None:
        self._reports = self._registry.workers()
        self._read = time.monotonic()
