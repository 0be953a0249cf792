"""Ends a worker whose engine hangs: the engine may be another process, and then the lease's heartbeat goes on.

An engine may answer and do nothing, too: with jobs in hand, it has to come on with some of them.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from workers.engines.base import Engine

log = logging.getLogger(__name__)


class Watchdog:
    """Asks the engine for signs of life, from a thread of its own: a loop that is blocked is noticed, too.

    `progress` tells how far its jobs have come: something that changes as they do; None if there are none. `seen`
    is when all was well last, as time.monotonic has it.
    """

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        patience: float,
        progress: Callable[[], object],
        *,
        on_stall: Callable[[], None],
        on_death: Callable[[], None],
    ) -> None:
        """Either is called once, in the watchdog's thread: when the engine is silent for `patience`, or gone."""
        self._engine = engine
        self._loop = loop
        self._patience = patience
        self._progress = progress
        self._known: object = None
        self._moved = self.seen = time.monotonic()
        self._on_stall = on_stall
        self._on_death = on_death
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Nothing is called from now on."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._patience / 10):
            call = self._ask()
            if call is not None and not self._stop.is_set():
                call()
                return

    def _ask(self) -> Callable[[], None] | None:
        """What is to be done."""
        answer = asyncio.run_coroutine_threadsafe(self._engine.ping(), self._loop)
        try:
            answer.result(self._patience)
        except TimeoutError:
            answer.cancel()
            log.error("the engine has not answered for %.0f s", self._patience)
            return self._on_stall
        except Exception as error:
            log.error("the engine cannot answer: %r", error)
            return self._on_death
        return self._look()

    def _look(self) -> Callable[[], None] | None:
        """The same, by how far its jobs have come."""
        now, progress = time.monotonic(), self._progress()
        if progress is None or progress != self._known:
            self._known, self._moved = progress, now
        elif now - self._moved > self._patience:
            log.error("no job has come on for %.0f s", now - self._moved)
            return self._on_stall
        self.seen = now
        return None
