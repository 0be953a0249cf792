"""What was asked and what came of it, request by request, as its client saw it."""

import threading
import time
from dataclasses import dataclass, field

from tests.chaos.schedule import Request, Strike

SILENCE = 0.5  # seconds without news that are worth a note


@dataclass
class Entry:
    """One request's fate. Times are seconds since the start of the run.

    `end` is "answered", "left" (its client went for good), an error's code, or "" while there is none.
    `told` is when the client was told of its job, `times` are those of its news.
    """

    request: Request
    zero: float
    end: str = ""
    text: str = ""
    usage: dict[str, int] | None = None
    finish_reason: str | None = None
    jobs: list[str] = field(default_factory=list)
    refusals: list[tuple[int, str, str | None]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    silences: list[tuple[float, float]] = field(default_factory=list)
    history: list[tuple[float, str]] = field(default_factory=list)
    opened: float = 0.0
    told: float | None = None
    closed: float = 0.0
    _news: float | None = None

    def now(self) -> float:
        return time.monotonic() - self.zero

    def note(self, what: str) -> None:
        self.history.append((self.now(), what))

    def wrong(self, what: str) -> None:
        """The client saw what it must not see."""
        self.note(f"WRONG: {what}")
        self.faults.append(what)

    def refused(self, status: int, code: str, retry_after: str | None) -> None:
        self.note(f"refused: {status} {code}")
        self.refusals.append((status, code, retry_after))

    def job(self, job_id: str) -> None:
        if job_id not in self.jobs:
            self.jobs.append(job_id)
            self.told = self.now()
            self.note(f"is {job_id}")

    def news(self) -> None:
        """Something of the answer has come."""
        now = self.now()
        self.times.append(now)
        if self._news is not None and now - self._news > SILENCE:
            self.silences.append((self._news, now - self._news))
            self.note(f"nothing for {now - self._news:.1f} s, then on from {len(self.text)} characters")
        self._news = now

    def away(self) -> None:
        """The client is away by its own choice: that is no silence."""
        self._news = None

    def finish(self, end: str) -> None:
        self.end = end
        self.closed = self.now()
        self.note(f"end: {end}")


class Ledger:
    """All entries and strikes of a run."""

    def __init__(self) -> None:
        self.zero = time.monotonic()
        self.entries: list[Entry] = []
        self.struck: list[tuple[float, Strike]] = []
        self.memory: list[tuple[float, str, int]] = []
        self.troubles: list[str] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.monotonic() - self.zero

    def open(self, request: Request) -> Entry:
        entry = Entry(request, self.zero, opened=self.now())
        with self._lock:
            self.entries.append(entry)
        return entry

    def began(self, strike: Strike) -> None:
        with self._lock:
            self.struck.append((self.now(), strike))

    def trouble(self, what: str) -> None:
        """Something is wrong that is no request's."""
        with self._lock:
            self.troubles.append(what)

    def was_struck(self, start: float, end: float, *faults: str) -> bool:
        """Whether any of these struck in this time."""
        return any(strike.fault in faults and start <= at <= end for at, strike in self.struck)

    def history(self, entry: Entry) -> list[str]:
        """What an entry's client saw, and what was struck meanwhile."""
        lines = [(at, what) for at, what in entry.history]
        end = entry.closed or self.now()
        lines += [(at, f"-- {s.fault} {s.target}") for at, s in self.struck if entry.opened - 5 <= at <= end]
        return [f"{at:8.2f} s  {what}" for at, what in sorted(lines)]
