"""What all clients have in common: they go from gateway to gateway until they have their answer."""

import threading
from abc import ABC, abstractmethod

from gateway.admission import MOST_GRACE
from tests.chaos.ledger import Entry

AGAIN = 0.3  # seconds between tries
GRACE = MOST_GRACE  # looking at a job is not coming back, and it may wait for workers that load
RETRYABLE = (429, 503)
ENDED = ("succeeded", "failed", "cancelled")
AWAY = 0.7  # seconds that those who drop stay away


class Client(ABC):
    """One client with one request, which gives up after `patience` seconds.

    `LOST` is what it raises when its connection fails.
    """

    LOST: tuple[type[Exception], ...]

    def __init__(self, urls: list[str], key: str, entry: Entry, patience: float) -> None:
        self._urls = urls
        self._key = key
        self.entry = entry
        self._patience = patience
        self.request = entry.request
        self._stop = threading.Event()
        self._drops = list(self.request.drops)

    def run(self) -> None:
        """Ask, and ask on, until there is an end."""
        gateway = self.request.gateway
        while not self.entry.end and self.entry.now() - self.entry.opened < self._patience:
            url = self._urls[gateway % len(self._urls)]
            try:
                self.ask(url)
            except self.LOST as error:
                self.entry.note(f"gateway {gateway % len(self._urls)}: {type(error).__name__}: {str(error)[:120]}")
            gateway += 1
            if not self.entry.end:
                self._stop.wait(AGAIN)

    @abstractmethod
    def ask(self, url: str) -> None:
        """One try at one gateway; finishes the entry if it has come to an end."""

    def fail(self, status: int, code: str) -> None:
        """The answer ends with an error; some are only this try's."""
        if status in RETRYABLE:
            self.entry.note(f"told to come again: {status} {code}")
        else:
            self.entry.finish(code)

    def goes(self, events: int) -> bool:
        """Whether the client goes now, after so many events: for good, or for a moment."""
        if self.request.leaves is not None and events >= self.request.leaves:
            self.entry.finish("left")
            return True
        if self._drops and events >= self._drops[0]:
            self._drops.pop(0)
            self.entry.note(f"drops after {events} events")
            return True
        return False

    def stay_away(self) -> None:
        self.entry.away()
        if not self.entry.end:
            self._stop.wait(AWAY)
