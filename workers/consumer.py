"""Celery's worker as this process runs it: threads, one queue, and nothing of its own on the terminal."""

import warnings
from typing import Any

import celery.apps.worker
from celery import Celery
from celery.platforms import SecurityWarning

from shared import redis_keys as keys


def make_consumer(app: Celery, *, model: str, concurrency: int) -> Any:
    """A consumer of one model's queue. Its `start` runs it, until a signal ends it."""
    # Celery warns of root because of pickle; we take JSON alone, and containers have one user.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    return app.subclass_with_self(_Consumer)(
        pool="threads",
        concurrency=concurrency,
        queues=[keys.queue(model)],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


class _Consumer(celery.apps.worker.Worker):
    def setup_logging(self, colorize: bool | None = None) -> bool:
        """It is set up (shared/log.py). Celery's own would also turn its advice to developers on."""
        return True

    def set_process_status(self, info: str) -> None:
        """Lists of processes show our command line, which names the model."""
