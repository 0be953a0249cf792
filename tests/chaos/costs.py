"""What each fault cost: how long the streams that were open stood still."""

from typing import NamedTuple

from tests.chaos.ledger import Entry, Ledger

NEAR = 0.25  # seconds before a strike in which the last news before it may have come


class Cost(NamedTuple):
    """What faults of one kind cost: how often they struck, and how long each stream stood still, in seconds."""

    strikes: int
    stalls: list[float]
    worst: Entry | None

    def percentile(self, percent: int) -> float:
        ordered = sorted(self.stalls)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


def costs(ledger: Ledger) -> dict[str, Cost]:
    """The costs of each kind of fault.

    A silence is put down to the last strike before it, so that faults which overlap share their costs unfairly.
    """
    strikes = sorted(ledger.struck, key=lambda struck: struck[0])
    starts = [at for at, _ in strikes]
    stalls: dict[str, list[tuple[float, Entry]]] = {}
    for (at, strike), until in zip(strikes, [*starts, float("inf")][1:], strict=True):
        open_then = [entry for entry in ledger.entries if _is_open(entry, at)]
        stalls.setdefault(strike.fault, []).extend((_stall(entry, at, until), entry) for entry in open_then)
    return {
        fault: Cost(
            sum(strike.fault == fault for _, strike in strikes),
            [stall for stall, _ in found],
            max(found, key=lambda stalled: stalled[0])[1] if found else None,
        )
        for fault, found in sorted(stalls.items())
    }


def _is_open(entry: Entry, at: float) -> bool:
    """Whether it streams, at its own pace, at this time."""
    streams = entry.request.kind in ("events", "socket") and entry.request.pace is None
    return streams and entry.opened <= at <= (entry.closed or float("inf"))


def _stall(entry: Entry, start: float, until: float) -> float:
    """The longest silence that begins between two strikes."""
    return max((length for at, length in entry.silences if start - NEAR <= at < until - NEAR), default=0.0)
