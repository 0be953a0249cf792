"""Turns: one client's bytes do not keep the others waiting."""

import time

import gevent

TURN = 0.005  # seconds of work on one client's bytes before others have their turn


class Turn:
    """Reading does not wait as long as there is something to read: one client could go on for ever."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def give_way(self) -> None:
        """Let the others run, if this turn has lasted long enough."""
        if time.monotonic() - self._since > TURN:
            # Not 0: up to 50 of such turns come before the loop looks at any other client's socket.
            gevent.sleep(1e-6)
            self._since = time.monotonic()
