"""What a run does, decided beforehand by its seed: which requests clients send, and what is struck when."""

import random
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tests.chaos.questions import Question, Questions
from tests.chaos.subject import Subject

Kind = Literal["events", "socket", "json", "poll"]

STRIKES: dict[str, tuple[float, float]] = {
    "kill-worker": (0.0, 1.0),
    "pause-worker": (1.2, 3.0),
    "freeze-worker": (0.5, 3.0),
    "drain-worker": (0.0, 0.5),
    "kill-gateway": (0.0, 2.0),
    "pause-gateway": (0.5, 5.0),
    "stop-gateway": (0.0, 1.0),
    "kill-valkey": (0.0, 4.0),
    "pause-valkey": (0.5, 6.0),
    "power-cut": (0.0, 2.0),
    "cut-connections": (0.0, 0.0),
    "stop-database": (1.0, 10.0),
}
"""Faults of processes, and for how long at least and at most: those of workers in leases, all others in seconds.

To kill is SIGKILL, to stop or drain SIGTERM, to pause SIGSTOP and then SIGCONT; what is frozen is paused and then
killed. A power cut kills Valkey and takes the last second from its append-only file. The database is PostgreSQL,
which is stopped without a word to its clients.
"""

HABITS = ("slow-reader", "drop", "leave")
"""Faults of clients: reads slowly; goes and comes back, some times; goes for good."""

FAULTS = (*STRIKES, *HABITS)


@dataclass(frozen=True)
class Strike:
    """A fault: `at` seconds after the start, `target` is which gateway or worker, for `seconds`."""

    at: float
    fault: str
    target: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:7.2f} s  {self.fault:16} {self.target}  for {self.seconds:.2f} s"


@dataclass(frozen=True)
class Request:
    """What one client asks for, and how it behaves.

    `drops` and `leaves` are numbers of events that it has had by then; `pace` is in bytes per second.
    """

    number: int
    kind: Kind
    question: Question
    gateway: int
    premium: bool
    drops: tuple[int, ...] = ()
    leaves: int | None = None
    pace: float | None = None

    def __str__(self) -> str:
        ways = {"drops at": self.drops, "leaves at": self.leaves, "reads bytes/s": self.pace}
        said = "".join(f", {way} {value}" for way, value in ways.items() if value)
        return f"request {self.number}: {self.kind}, {self.question.tokens} tokens{said}"


class Schedule:
    """All of a run. `rate` is process faults a minute; faults that are not named do not happen. `away` is for how
    many seconds the database is stopped, if not for any number of them."""

    def __init__(
        self,
        subject: Subject,
        seed: int,
        duration: float,
        faults: tuple[str, ...],
        rate: float,
        away: float | None = None,
    ) -> None:
        self.subject = subject
        self.seed = seed
        self.duration = duration
        self.faults = faults
        self.rate = rate
        self.away = away
        self.strikes = self._strikes()

    def _strikes(self) -> list[Strike]:
        """In their order, at random distances; the first comes when all clients are busy."""
        dice = random.Random(f"{self.seed} strikes")
        kinds = [fault for fault in self.faults if fault in STRIKES]
        strikes: list[Strike] = []
        at = 2.0
        bag: list[str] = []
        while kinds and at < self.duration:
            bag = bag or dice.sample(kinds, len(kinds))  # all come equally often
            fault = bag.pop()
            target, seconds = dice.randrange(self._targets(fault)), self._seconds(dice, fault)
            strikes.append(Strike(round(at, 3), fault, target, round(seconds, 3)))
            at += dice.uniform(0.3, 1.7) * 60 / self.rate
        return strikes

    def _targets(self, fault: str) -> int:
        """How many processes there are of the kind that it strikes."""
        if fault.endswith("worker"):
            return self.subject.workers
        return self.subject.gateways if fault.endswith("gateway") else 1

    def _seconds(self, dice: random.Random, fault: str) -> float:
        unit = self.subject.lease if fault.endswith("worker") else 1.0
        least, most = STRIKES[fault]
        seconds = dice.uniform(least * unit, most * unit)
        return self.away if self.away is not None and fault == "stop-database" else seconds

    def request(self, number: int, questions: Questions) -> Request:
        dice = random.Random(f"{self.seed} request {number}")
        kind: Kind = dice.choice(get_args(Kind))
        question = questions(dice, number)
        return Request(
            number=number,
            kind=kind,
            question=question,
            gateway=dice.randrange(self.subject.gateways),
            premium=dice.random() < 0.5,
            **self._habit(dice, kind, question.tokens),
        )

    def _habit(self, dice: random.Random, kind: Kind, tokens: int) -> dict[str, Any]:
        """Streams have habits, about two in three."""
        habit = dice.choice((*HABITS, "", ""))
        if kind in ("json", "poll") or habit not in self.faults:
            return {}
        if habit == "drop":
            return {"drops": tuple(sorted(dice.sample(range(1, tokens), dice.randint(1, 3))))}
        if habit == "leave":
            return {"leaves": dice.randrange(1, tokens)}
        return {"pace": dice.uniform(2_000, 8_000)} if kind == "events" and habit == "slow-reader" else {}
