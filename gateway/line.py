"""Who waits for a model, in the order in which they are served, and for how long. Between hops 3 and 4."""

import time
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.roster import Roster
from shared.joblog import JobLog

FRESH = 1.0  # seconds


class Place(NamedTuple):
    """Where a job stands: 1 is served next. `seconds` is how long it may take until it is, if that is known."""

    position: int
    seconds: float | None


class Lines:
    """The lines before all models, each read at most once a second."""

    def __init__(self, joblog: JobLog, roster: Roster) -> None:
        self._log = joblog
        self._roster = roster
        self._positions: dict[str, dict[str, int]] = {}
        self._read: dict[str, float] = {}

    def place(self, model: str, job_id: str) -> Place | None:
        """None if the job does not wait, or it is not known."""
        try:
            if (position := self._line(model).get(job_id)) is None:
                return None
            return Place(position, self._seconds(model, position))
        except RedisError:
            return None

    def _line(self, model: str) -> dict[str, int]:
        now = time.monotonic()
        if now - self._read.get(model, float("-inf")) >= FRESH:
            self._read[model] = now  # first: whoever asks meanwhile has the line as it was
            self._positions[model] = {job_id: n for n, job_id in enumerate(self._log.line(model), 1)}
        return self._positions.get(model, {})

    def _seconds(self, model: str, position: int) -> float | None:
        """By the pace at which the model's workers, all busy, have done their last jobs."""
        workers = [each for each in self._roster.workers() if each.model == model and each.state == "ready"]
        pace = sum(worker.capacity / worker.job_seconds for worker in workers if worker.job_seconds)
        return round(position / pace, 1) if pace else None
