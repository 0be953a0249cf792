"""What this worker says of itself: loading, ready or draining, how much it runs and how fast."""

import logging
import threading
import time
from typing import Protocol

import redis
from msgspec.structs import replace

from shared.registry import Registry, Report

log = logging.getLogger(__name__)


class Work(Protocol):
    """What a worker does, as it is now: how many jobs it has in hand, how long the last took, on average and in
    seconds, and how many tokens it has made in all."""

    @property
    def running(self) -> list[str]: ...

    @property
    def job_seconds(self) -> float: ...

    @property
    def tokens(self) -> int: ...


class Reporter:
    """Reports from a thread of its own, because an engine that loads may hold its loop for a minute."""

    def __init__(self, registry: Registry, first: Report, interval: float) -> None:
        self._registry = registry
        self._report = first
        self._interval = interval
        self._work: Work | None = None
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
        tokens, then = 0, time.monotonic()
        while not self._stop.is_set():
            now, made = time.monotonic(), self._work.tokens if self._work else 0
            speed = (made - tokens) / (now - then) if now > then else 0.0
            tokens, then = made, now
            self._send(speed)
            self._wake.wait(self._interval)
            self._wake.clear()
        try:
            self._registry.remove(self._report.id, self._report.model)
        except redis.RedisError as error:
            log.warning("could not withdraw the report: %s", error)

    def _send(self, speed: float) -> None:
        report = replace(self._report, tokens_per_second=round(speed, 1), reported=time.time())
        if work := self._work:
            report = replace(report, running=len(work.running), job_seconds=round(work.job_seconds, 3))
        try:
            self._registry.report(report)
            self._heard = True
        except redis.RedisError as error:
            if self._heard:
                log.warning("cannot report, trying on: %s; CROFAI_REDIS_URL says where Redis is", error)
            self._heard = False
