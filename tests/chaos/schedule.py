"""What a run does, decided beforehand by its seed: which requests clients send, and what is struck when."""

import random
from dataclasses import dataclass
from typing import Any, Literal, get_args

LEASE = 2.0  # seconds, of the system under test
GATEWAYS = 2
WORKERS = 3

Kind = Literal["events", "socket", "json", "poll"]

STRIKES: dict[str, tuple[int, float, float]] = {
    "kill-worker": (WORKERS, 0.0, 2.0),
    "pause-worker": (WORKERS, 1.2 * LEASE, 3 * LEASE),
    "freeze-worker": (WORKERS, 0.5 * LEASE, 3 * LEASE),
    "drain-worker": (WORKERS, 0.0, 1.0),
    "kill-gateway": (GATEWAYS, 0.0, 2.0),
    "pause-gateway": (GATEWAYS, 0.5, 5.0),
    "stop-gateway": (GATEWAYS, 0.0, 1.0),
    "kill-valkey": (1, 0.0, 4.0),
    "pause-valkey": (1, 0.5, 6.0),
    "power-cut": (1, 0.0, 2.0),
    "cut-connections": (1, 0.0, 0.0),
}
"""Faults of processes: of how many, and for how many seconds at least and at most.

To kill is SIGKILL, to stop or drain SIGTERM, to pause SIGSTOP and then SIGCONT; what is frozen is paused and then
killed. A power cut kills Valkey and takes the last second from its append-only file.
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
    words: tuple[str, ...]
    most: int
    gateway: int
    premium: bool
    drops: tuple[int, ...] = ()
    leaves: int | None = None
    pace: float | None = None

    @property
    def prompt(self) -> str:
        return "echo " + " ".join(self.words)

    @property
    def text(self) -> str:
        """What an undisturbed system answers: the simulated engine says the words again."""
        return " ".join(self.words[: self.most])

    @property
    def usage(self) -> dict[str, int]:
        return {"prompt_tokens": len(self.words) + 1, "completion_tokens": min(self.most, len(self.words))}

    @property
    def finish_reason(self) -> str:
        return "length" if self.most < len(self.words) else "stop"

    def __str__(self) -> str:
        ways = {"drops at": self.drops, "leaves at": self.leaves, "reads bytes/s": self.pace}
        said = "".join(f", {way} {value}" for way, value in ways.items() if value)
        return f"request {self.number}: {self.kind}, {self.usage['completion_tokens']} tokens{said}"


class Schedule:
    """All of a run. `rate` is process faults a minute; faults that are not named do not happen."""

    def __init__(self, seed: int, duration: float, faults: tuple[str, ...], rate: float) -> None:
        self.seed = seed
        self.duration = duration
        self.faults = faults
        self.rate = rate
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
            targets, least, most = STRIKES[fault]
            target, seconds = dice.randrange(targets), dice.uniform(least, most)
            strikes.append(Strike(round(at, 3), fault, target, round(seconds, 3)))
            at += dice.uniform(0.3, 1.7) * 60 / self.rate
        return strikes

    def request(self, number: int) -> Request:
        dice = random.Random(f"{self.seed} request {number}")
        kind: Kind = dice.choice(get_args(Kind))
        words = dice.randint(20, 160)
        return Request(
            number=number,
            kind=kind,
            words=tuple(f"r{number}w{place}" for place in range(words)),
            most=dice.choice([words, words, max(1, words // 2)]),
            gateway=dice.randrange(GATEWAYS),
            premium=dice.random() < 0.5,
            **self._habit(dice, kind, words),
        )

    def _habit(self, dice: random.Random, kind: Kind, words: int) -> dict[str, Any]:
        """Streams have habits, about two in three."""
        habit = dice.choice((*HABITS, "", ""))
        if kind in ("json", "poll") or habit not in self.faults:
            return {}
        if habit == "drop":
            return {"drops": tuple(sorted(dice.sample(range(1, words), dice.randint(1, 3))))}
        if habit == "leave":
            return {"leaves": dice.randrange(1, words)}
        return {"pace": dice.uniform(2_000, 8_000)} if kind == "events" and habit == "slow-reader" else {}
