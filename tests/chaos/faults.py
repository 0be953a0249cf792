"""What is done to processes. A place that is struck has its turn first: faults of one process do not overlap."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tests.chaos.schedule import Strike
from tests.chaos.system import Place, System

UNSYNCED = 1.0  # seconds that Valkey may keep from its disk: `appendfsync everysec`
STOPPED = 40.0  # seconds within which a process that is told to end has done so


class Striker:
    """Carries out strikes. `began` is called once one takes effect."""

    def __init__(self, system: System, began: Callable[[Strike], None]) -> None:
        self._system = system
        self._began = began

    def strike(self, strike: Strike) -> None:
        """From the blow to the end of its cause; what follows from it takes longer."""
        blow = getattr(self, "_" + strike.fault.replace("-", "_"))
        blow(strike)

    def _kill_worker(self, strike: Strike) -> None:
        self._kill(self._system.workers[strike.target], strike)

    def _kill_gateway(self, strike: Strike) -> None:
        self._kill(self._system.gateways[strike.target], strike)

    def _pause_worker(self, strike: Strike) -> None:
        self._pause(self._system.workers[strike.target], strike)

    def _pause_gateway(self, strike: Strike) -> None:
        self._pause(self._system.gateways[strike.target], strike)

    def _drain_worker(self, strike: Strike) -> None:
        self._stop(self._system.workers[strike.target], strike)

    def _stop_gateway(self, strike: Strike) -> None:
        self._stop(self._system.gateways[strike.target], strike)

    def _freeze_worker(self, strike: Strike) -> None:
        place = self._system.workers[strike.target]
        with self._turn(place.struck, strike):
            place.process.signal(signal.SIGSTOP)
            time.sleep(strike.seconds)
            place.process.kill()
            place.start()

    def _kill(self, place: Place, strike: Strike) -> None:
        with self._turn(place.struck, strike):
            place.process.kill()
            time.sleep(strike.seconds)
            place.start()

    def _pause(self, place: Place, strike: Strike) -> None:
        with self._turn(place.struck, strike):
            place.process.signal(signal.SIGSTOP)
            time.sleep(strike.seconds)
            place.process.signal(signal.SIGCONT)

    def _stop(self, place: Place, strike: Strike) -> None:
        with self._turn(place.struck, strike):
            place.process.stop(STOPPED)
            time.sleep(strike.seconds)
            place.start()

    def _kill_valkey(self, strike: Strike) -> None:
        with self._turn(self._system.valkey_struck, strike):
            self._system.valkey.stop()
            time.sleep(strike.seconds)
            self._system.valkey.start()

    def _power_cut(self, strike: Strike) -> None:
        with self._system.valkey_struck:
            kept = {file: file.stat().st_size for file in self._system.journal()}
            time.sleep(UNSYNCED)
            self._began(strike)
            self._system.valkey.stop()
            for file, size in kept.items():
                os.truncate(file, size)
            time.sleep(strike.seconds)
            self._system.valkey.start()

    def _pause_valkey(self, strike: Strike) -> None:
        with self._turn(self._system.valkey_struck, strike):
            self._system.valkey.process.signal(signal.SIGSTOP)
            time.sleep(strike.seconds)
            self._system.valkey.process.signal(signal.SIGCONT)

    def _cut_connections(self, strike: Strike) -> None:
        with self._turn(self._system.valkey_struck, strike):
            for kind in ("normal", "pubsub"):
                self._system.valkey.client.client_kill_filter(_type=kind, skipme=True)

    def _stop_database(self, strike: Strike) -> None:
        assert self._system.database is not None
        with ExitStack() as turns:
            # A gateway does not start without its database: none may have to.
            for place in self._system.gateways:
                turns.enter_context(place.struck)
            self._system.wait_until_served()
            self._began(strike)
            self._system.database.stop()
            time.sleep(strike.seconds)
            self._system.database.start()

    @contextmanager
    def _turn(self, struck: threading.Lock, strike: Strike) -> Iterator[None]:
        with struck:
            self._began(strike)
            yield
