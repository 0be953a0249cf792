"""Who gets the GPUs where there are not enough: the next replica goes to where a GPU saves most requests."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from gateway.planning.autoscaler import Scaling
from gateway.planning.demand import HOURS, Hour
from gateway.planning.pools import HOUR, Pool


def share_out(
    pools: Mapping[str, Pool], needs: Mapping[str, Sequence[int]], most: Mapping[str, int], gpus: int
) -> dict[str, int]:
    """Replicas for each pool, up to `most`, within so many GPUs. `needs` are the replicas with which each request
    begins in time.

    Promised pools have their first before all others.
    """
    given = {model: int(pool.promised) for model, pool in pools.items()}
    free = gpus - sum(given[model] * pool.gpus for model, pool in pools.items())
    saved = {model: _saved(needs[model], most[model]) for model in pools}
    steps = [
        (-saved[model][given[model]] / pools[model].gpus, model) for model in pools if given[model] < most[model]
    ]
    heapify(steps)
    while steps:
        _, model = heappop(steps)
        if pools[model].gpus > free:
            continue  # nor will it fit later; smaller ones may
        free -= pools[model].gpus
        given[model] += 1
        if given[model] < most[model]:
            heappush(steps, (-saved[model][given[model]] / pools[model].gpus, model))
    return given


def maxima(
    pools: Mapping[str, Pool], usual: Mapping[str, Sequence[int]], peaks: Mapping[str, int], gpus: int
) -> tuple[dict[str, int], dict[str, int]]:
    """What is reserved for each pool, and the most replicas that it may have.

    Reserved is what its busiest hour's requests need (`usual`), by share_out. Beyond that a pool may have all that
    is reserved for nobody; and up to its peak, or half of the GPUs, also what others have reserved and do not use,
    but for one replica of each promised pool. So maxima overlap: whoever is first has what is free, and what goes
    viral leaves half. A pool that does not fit has none.
    """
    reserved = share_out(pools, usual, {model: max(needs, default=0) for model, needs in usual.items()}, gpus)
    free = gpus - sum(reserved[model] * pool.gpus for model, pool in pools.items())
    promised = sum(pool.gpus for pool in pools.values() if pool.promised)
    most = {}
    for model, pool in pools.items():
        room = (gpus - promised) // pool.gpus + int(pool.promised)
        most[model] = max(reserved[model] + free // pool.gpus, min(max(1, peaks[model], room // 2), room))
    return reserved, most


def fit(
    pools: Mapping[str, Pool], hours: Mapping[str, Sequence[Hour]], scalings: Mapping[str, Scaling], gpus: int
) -> dict[str, tuple[int, ...]]:
    """The least replicas by hour of the week, which never take more GPUs than there are."""
    floors: dict[str, list[int]] = {model: [] for model in pools}
    for hour in range(HOURS):
        wanted = {model: scaling.floor(hour * HOUR) for model, scaling in scalings.items()}
        if sum(wanted[model] * pool.gpus for model, pool in pools.items()) > gpus:
            wanted = share_out(pools, {model: hours[model][hour].needs for model in pools}, wanted, gpus)
        for model, replicas in wanted.items():
            floors[model].append(replicas)
    return {model: tuple(each) for model, each in floors.items()}


def _saved(needs: Sequence[int], most: int) -> list[int]:
    """How many more requests begin in time with the first replica, the second and so on: never more than before.

    A request that needs three is served by three only; of the first and second it is a third, too.
    """
    saved = [0.0] * (most + 1)
    for need in needs:
        for replica in range(min(need, most)):
            saved[replica] += 1 / need
    return [round(each) for each in saved]
