"""What this worker says of itself: loading, ready or draining, how much it runs and how fast."""

import logging
import threading
import time
from collections import deque
from typing import Protocol

import redis
from msgspec.structs import replace

from shared.registry import Registry, Report

log = logging.getLogger(__name__)

LATELY = 5.0
"""Seconds, of which a worker's speed is told: of fewer, one token more or less makes much of it."""


class Work(Protocol):
    """What a worker does, as it is now: how many jobs it has in hand, how long the last took, on average and in
    seconds, and how many tokens it has made in all."""

    @property
    def running(self) -> list[str]: ...

    @property
    def job_seconds(self) -> float: ...

    @property
    def tokens(self) -> int: ...


class Pace:
    """How fast a count has grown lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, count: int, now: float) -> float:
        """Take the count at this moment (seconds), and tell how many a second it has grown by: on average of
        LATELY seconds, and of as many more as lie between two moments; of fewer, if there were no more."""
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now - LATELY:
            self._seen.popleft()
        then, before = self._seen[0]
        return (count - before) / (now - then) if now > then else 0.0


class Reporter:
    """Reports from a thread of its own, because an engine that loads may hold its loop for a minute."""

    def __init__(self, registry: Registry, first: Report, interval: float) -> None:
        self._registry = registry
        self._report = first
        self._interval = interval
        self._work: Work | None = None
        self._pace = Pace()
        self._heard = True  # said once for each time that Redis stays away
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def loading(self, progress: float, detail: str) -> None:
        """An engine's Progress callback."""
        log.info("loading %3.0f %%  %s", progress * 100, detail)
        self._change(replace(self._report, progress=progress, detail=detail))

    def ready(self, work: Work) -> None:
        """From now on tell of this work, too."""
        self._pace = Pace()
        self._work = work
        self._change(replace(self._report, state="ready", progress=1.0, detail=""))
        log.info("%s is ready: up to %d jobs at once", self._report.id, self._report.capacity)

    def draining(self) -> None:
        self._change(replace(self._report, state="draining"))

    def stop(self) -> None:
        """Withdraw the report."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=5)

    def _change(self, report: Report) -> None:
        self._report = report
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._send()
            self._wake.wait(self._interval)
            self._wake.clear()
        try:
            self._registry.remove(self._report.id, self._report.model)
        except redis.RedisError as error:
            log.warning("could not withdraw the report: %s", error)

    def _send(self) -> None:
        report = replace(self._report, reported=time.time())
        if work := self._work:
            speed = self._pace.note(work.tokens, time.monotonic())
            report = replace(
                report,
                running=len(work.running),
                tokens_per_second=round(speed, 1),
                job_seconds=round(work.job_seconds, 3),
            )
        try:
            self._registry.report(report)
            self._heard = True
        except redis.RedisError as error:
            if self._heard:
                log.warning("cannot report, trying on: %s; CROFAI_REDIS_URL says where Redis is", error)
            self._heard = False
