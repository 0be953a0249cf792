"""The cheapest timetable of replicas for a week that is known: what any plan can be held against.

For each pool, dynamic programming over the week's minutes finds the replicas for which GPU-hours, start-ups, and
late requests at a price each, are least. Several prices give several timetables, which are simulated as anything
else is. It is the best that we find, not a proof that there is no better.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from gateway.planning.autoscaler import Timetable
from gateway.planning.demand import needed
from gateway.planning.frontier import Option
from gateway.planning.pools import HOUR, Arrivals, Goal, Pool
from gateway.planning.simulation import Outcome, prepare, replay

MINUTE = 60.0
PRICES = (0.003, 0.008, 0.03, 0.3)
"""Of a late request, in GPU-hours."""

WAYS = ((1.0, 1.2, 4), (0.5, 1.2, 4), (1.0, 1.2, 10), (0.0, 0.9, 20))
"""How needs are told: what is used of the wait that is in time; how much longer than told services take, as
batches get full; and the minutes in whose mean no work is to be left undone, so that it does not pile up. Of 36
ways that were tried on made-up weeks, these four find what all of them find, to one part in a thousand."""

PATIENCE = 600.0  # seconds, CROFAI_JOB_TIMEOUT: nobody is to wait for longer, in any timetable


def options(
    pool: Pool, arrivals: Arrivals, goal: Goal, begin: float, end: float, patience: float = PATIENCE
) -> list[Option[Outcome]]:
    """What one pool could have cost, and how many requests would have been late for it."""
    found, least, one = [], int(pool.promised), {pool.model: pool}
    week = prepare(arrivals, begin, end)
    for wait, pace, window in WAYS:
        needs = needed(pool, arrivals, wait * goal.wait, pace)
        slots = _by_minute(arrivals.times, needs, begin, end)
        lowest = _lowest(pool, arrivals, pace, begin, window, [least] * len(slots))
        for price in PRICES:
            counts = _cheapest(pool, slots, price * HOUR, lowest)
            if not least:
                _be_patient(arrivals, counts, begin, patience)
            table = _timetable(pool, counts, begin)
            outcome = replay(one, {pool.model: week}, {pool.model: table})[pool.model]
            found.append(Option(gpu_hours=outcome.gpu_hours, late=outcome.late(goal.wait), what=outcome))
    return found


def _by_minute(times: Sequence[float], needs: Sequence[int], begin: float, end: float) -> list[list[int]]:
    """What the requests of each minute need."""
    slots: list[list[int]] = [[] for _ in range(math.ceil((end - begin) / MINUTE))]
    for comes, need in zip(times, needs, strict=True):
        slots[min(int((comes - begin) // MINUTE), len(slots) - 1)].append(need)
    return slots


def _lowest(pool: Pool, arrivals: Arrivals, pace: float, begin: float, window: int, least: list[int]) -> list[int]:
    """The replicas without which work would pile up, for each minute."""
    minutes, half = len(least), window // 2
    work = [0.0] * (minutes + half)
    for comes, service in zip(*arrivals, strict=True):
        at, left = comes - begin, service * pace
        while left > 0 and (slot := int(at // MINUTE)) < minutes:
            part = min(left, (slot + 1) * MINUTE - at) or left
            work[slot] += part
            at, left = at + part, left - part
    found, total = [], sum(work[:half])
    for slot in range(minutes):
        total += work[slot + half] - (work[slot - half] if slot >= half else 0)
        replicas = total / (window * MINUTE * pool.slots)
        found.append(max(least[slot], math.ceil(replicas) if replicas > 0.25 else 0))
    return found


def _cheapest(pool: Pool, slots: list[list[int]], price: float, lowest: list[int]) -> list[int]:
    """Replicas for each minute. `price` is what a late request counts for, in GPU-seconds."""
    most = max((max(slot) for slot in slots if slot), default=0)
    states = range(max(most, *lowest) + 1)
    hold, start = pool.gpus * MINUTE, pool.gpus * pool.startup
    costs = [0.0] * len(states)  # what is there at first was there before
    choices = []
    for slot, least in zip(slots, lowest, strict=True):
        # Down costs nothing, up costs a start for each replica: two sweeps find the best way to each state.
        best, via = costs[:], list(states)
        for state in states[-2::-1]:
            if best[state + 1] < best[state]:
                best[state], via[state] = best[state + 1], via[state + 1]
        for state in states[1:]:
            if best[state - 1] + start < best[state]:
                best[state], via[state] = best[state - 1] + start, via[state - 1]
        choices.append(via)
        late = [0] * (len(states) + 1)
        for need in slot:
            late[need - 1] += 1
        behind = 0
        for state in reversed(states):
            behind += late[state]
            best[state] += hold * state + price * behind
            if state < least:
                best[state] = math.inf
        costs = best
    return _traced(choices, costs)


def _traced(choices: list[list[int]], costs: list[float]) -> list[int]:
    state = costs.index(min(costs))
    counts = []
    for via in reversed(choices):
        counts.append(state)
        state = via[state]
    return counts[::-1]


def _be_patient(arrivals: Arrivals, counts: list[int], begin: float, patience: float) -> None:
    """Where nobody would serve a request before its patience ends, a replica does."""
    served = -1
    for comes, service in zip(*arrivals, strict=True):
        first = int((comes - begin) // MINUTE)
        last = min(int((comes + patience - begin) // MINUTE), len(counts) - 1)
        if last <= served or any(counts[first : last + 1]):
            continue
        served = min(last + math.ceil(service / MINUTE), len(counts))
        for slot in range(last, served):
            counts[slot] = 1


def _timetable(pool: Pool, counts: list[int], begin: float) -> Timetable:
    """When to ask for them: a start-up earlier than they are needed, and down when they are not."""
    changes: dict[float, int] = {begin: 0}
    delta: list[tuple[float, int]] = [(begin, counts[0])]
    for slot, (before, after) in enumerate(pairwise(counts), start=1):
        moment = begin + slot * MINUTE
        if after > before:
            delta.append((max(begin, moment - pool.startup), after - before))
        elif after < before:
            delta.append((moment, after - before))
    total = 0
    for moment, more in sorted(delta):
        total += more
        changes[moment] = total
    times = sorted(changes)
    # What still waits at the end is served, too.
    return Timetable(
        [*times, begin + len(counts) * MINUTE], [*(changes[moment] for moment in times), max(1, *counts)]
    )
