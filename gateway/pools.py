"""The pool of each model as it is now: its workers, and the jobs before and at them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import redis

from gateway.roster import Roster
from shared import redis_keys as keys
from shared.lines import Lines
from shared.registry import Report, WorkerState


@dataclass(frozen=True)
class Pool:
    """`open` are all jobs without an end, but for canaries; `waiting` are in line or in the queue, and
    `running` at workers."""

    model: str
    workers: dict[WorkerState, int]
    capacity: int
    open: int
    waiting: int
    running: int
    tokens_per_second: float


class Pools:
    """Raises redis errors."""

    def __init__(self, client: "redis.Redis", lines: Lines, roster: Roster, models: Iterable[str]) -> None:
        self._redis = client
        self._lines = lines
        self._roster = roster
        self._models = list(models)

    def all(self) -> list[Pool]:
        """In the catalogue's order."""
        with self._redis.pipeline(transaction=False) as pipe:
            for model in self._models:
                pipe.zcard(keys.open_jobs(model))
            open_jobs: list[int] = pipe.execute()
        waiting = self._lines.waiting(self._models)
        reports: dict[str, list[Report]] = {model: [] for model in self._models}
        for report in self._roster.workers():
            reports.setdefault(report.model, []).append(report)
        found = zip(self._models, open_jobs, waiting, strict=True)
        return [self._pool(model, jobs, in_line, reports[model]) for model, jobs, in_line in found]

    def _pool(self, model: str, jobs: int, waiting: int, workers: list[Report]) -> Pool:
        states = Counter(report.state for report in workers)
        return Pool(
            model=model,
            workers={state: states[state] for state in get_args(WorkerState)},
            capacity=sum(report.capacity for report in workers if report.state == "ready"),
            open=jobs,
            waiting=waiting,
            running=sum(report.running for report in workers),
            tokens_per_second=round(sum(report.tokens_per_second for report in workers), 1),
        )
