"""Which of each pool's options to take: in order of how many late requests a GPU-hour saves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(Generic[T]):
    """A way to run one pool: what it costs, how many requests are late, and what it is."""

    gpu_hours: float
    late: int
    what: T


def efficient(options: Iterable[Option[T]]) -> list[Option[T]]:
    """Those worth taking, the cheapest first: each step to the next saves fewer late requests per GPU-hour."""
    hull: list[Option[T]] = []
    for option in sorted(options, key=lambda each: (each.gpu_hours, each.late)):
        if hull and option.late >= hull[-1].late:
            continue
        while len(hull) > 1 and _benefit(hull[-2], option) >= _benefit(hull[-2], hull[-1]):
            hull.pop()
        hull.append(option)
    return hull


def cheapest(pools: Mapping[str, Sequence[Option[T]]], most_late: float) -> dict[str, Option[T]]:
    """An option for each pool, so that no more requests are late in all than that; the best if it cannot be."""
    hulls = {model: efficient(options) for model, options in pools.items()}
    place = dict.fromkeys(hulls, 0)
    late = sum(hull[0].late for hull in hulls.values())
    steps = [(-_benefit(hull[0], hull[1]), model) for model, hull in hulls.items() if len(hull) > 1]
    heapify(steps)
    while late > most_late and steps:
        _, model = heappop(steps)
        hull, at = hulls[model], place[model] + 1
        late -= hull[at - 1].late - hull[at].late
        place[model] = at
        if at + 1 < len(hull):
            heappush(steps, (-_benefit(hull[at], hull[at + 1]), model))
    chosen = {model: hull[place[model]] for model, hull in hulls.items()}
    return _trimmed(pools, chosen, most_late - late)


def _trimmed(
    pools: Mapping[str, Sequence[Option[T]]], chosen: dict[str, Option[T]], spare: float
) -> dict[str, Option[T]]:
    """The same with cheaper options where so many more may be late: the last step was often a large one."""
    while True:
        savings = [
            (chosen[model].gpu_hours - option.gpu_hours, number, model)
            for model, options in pools.items()
            for number, option in enumerate(options)
            if option.gpu_hours < chosen[model].gpu_hours and option.late - chosen[model].late <= spare
        ]
        if not savings:
            return chosen
        _, number, model = max(savings)
        spare -= pools[model][number].late - chosen[model].late
        chosen[model] = pools[model][number]


def _benefit(before: Option[T], after: Option[T]) -> float:
    """Late requests saved by each GPU-hour more."""
    return (before.late - after.late) / max(after.gpu_hours - before.gpu_hours, 1e-9)
