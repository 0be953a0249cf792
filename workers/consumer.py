"""Hop 4: Celery's worker as this process runs it: one queue, nothing of its own on the terminal."""

import signal
import warnings
from typing import Any

import celery.apps.worker
import celery.worker.state
from celery import Celery
from celery.apps.worker import install_worker_term_hard_handler
from celery.concurrency.base import BasePool
from celery.platforms import SecurityWarning

from shared import redis_keys as keys


def make_consumer(app: Celery, *, model: str, pool: type[BasePool], concurrency: int) -> Any:
    """A consumer of one model's queue. Its `start` runs it, until a signal ends it."""
    # Celery warns of root because of pickle; we take JSON alone, and containers have one user.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # It remembers the last thousand tasks, to drop what comes twice. Jobs have their own fences.
    celery.worker.state.successful_requests.maxlen = 1
    return app.subclass_with_self(_Consumer)(
        pool=pool,
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

    def install_platform_tweaks(self, worker: Any) -> None:
        """Ctrl-C drains like SIGTERM, and a second one ends at once; to Celery, the first is a failure."""
        super().install_platform_tweaks(worker)
        drain = signal.getsignal(signal.SIGTERM)
        assert callable(drain)

        def interrupt(number: int, frame: Any) -> None:
            install_worker_term_hard_handler(worker, sig="SIGINT", verbose=False)
            drain(number, frame)

        signal.signal(signal.SIGINT, interrupt)

    def set_process_status(self, info: str) -> None:
        """Lists of processes show our command line, which names the model."""
