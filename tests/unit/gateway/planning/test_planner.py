"""Plans: the budget holds, promises hold, more demand never gets less; and no plan beats hindsight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.planning import hindsight
from gateway.planning.budget import maxima, share_out
from gateway.planning.comparison import HINDSIGHT, PLAN, PROMPT, Week, compare, percentile, ratio
from gateway.planning.demand import HOURS, by_hour
from gateway.planning.frontier import Option, cheapest, efficient
from gateway.planning.planner import Plan, PlanError, Trial, full, plan
from gateway.planning.pools import DAY, HOUR, Arrivals, Goal, Pool
from tests.unit.gateway.planning.traffic import make_pool, noisy, steady

GOAL = Goal()

PEOPLE = st.lists(
    st.tuples(st.integers(1, 8), st.booleans(), st.lists(st.integers(1, 6), max_size=40)), min_size=1, max_size=6
)


@given(PEOPLE, st.integers(0, 40))
def test_no_more_gpus_are_given_than_there_are(people: list[tuple[int, bool, list[int]]], more: int) -> None:
    pools = {
        str(number): make_pool(gpus=gpus, promised=promised) for number, (gpus, promised, _) in enumerate(people)
    }
    needs = {str(number): each for number, (_, _, each) in enumerate(people)}
    gpus = sum(pool.gpus for pool in pools.values() if pool.promised) + more
    most = {model: max(each, default=0) for model, each in needs.items()}
    given_ = share_out(pools, needs, most, gpus)
    assert sum(given_[model] * pool.gpus for model, pool in pools.items()) <= gpus
    assert all(given_[model] >= 1 for model, pool in pools.items() if pool.promised)
    assert all(given_[model] <= max(most[model], int(pool.promised)) for model, pool in pools.items())
    reserved, highest = maxima(pools, needs, most, gpus)
    for model, pool in pools.items():
        others = sum(other.gpus for name, other in pools.items() if other.promised and name != model)
        assert reserved[model] <= highest[model]
        assert highest[model] * pool.gpus + others <= gpus or highest[model] == reserved[model]


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=30),
    st.lists(st.integers(1, 5), max_size=30),
    st.integers(2, 12),
)
def test_more_of_the_same_demand_never_gets_less(mine: list[int], others: list[int], gpus: int) -> None:
    pools = {"mine": make_pool(promised=False), "others": make_pool(promised=False)}

    def got(times: int) -> int:
        needs = {"mine": mine * times, "others": others}
        return share_out(pools, needs, {model: max(each, default=0) for model, each in needs.items()}, gpus)[
            "mine"
        ]

    assert got(1) <= got(2) <= got(10)


def test_the_least_used_gets_least() -> None:
    pools = {name: make_pool(name, promised=False) for name in ("much", "some", "little")}
    needs = {"much": [1, 2, 3] * 100, "some": [1, 2, 3] * 10, "little": [1, 2, 3]}
    assert share_out(pools, needs, dict.fromkeys(pools, 3), 6) == {"much": 3, "some": 3, "little": 0}
    # A large one has to be worth as much for each of its GPUs.
    large = pools | {"some": make_pool("some", promised=False, gpus=8)}
    assert share_out(large, needs | {"little": [1, 2, 3] * 2}, dict.fromkeys(pools, 3), 6)["some"] == 0


def test_what_goes_viral_may_have_half_of_what_is_not_promised() -> None:
    pools = {"small": make_pool("small", promised=False), "large": make_pool("large", gpus=8)}
    needs = {"small": [1] * 5, "large": [1, 2, 3, 4] * 100}
    reserved, most = maxima(pools, needs, {"small": 1, "large": 4}, 32)
    assert (reserved["large"], most["large"]) == (3, 4)
    assert most["small"] == 12


@pytest.mark.parametrize(("rate", "waits"), [(0.01, False), (0.2, True)])
def test_who_keeps_little_of_a_replica_busy_lets_nobody_wait_before_a_second(rate: float, waits: bool) -> None:
    pool, arrivals = make_pool(), noisy(1, rate, 40)
    tried = Trial(GOAL, 0, DAY).options(pool, arrivals, by_hour(pool, arrivals, 0, DAY), by_hours=False)
    assert (max(option.what.target for option in tried) > full(pool, arrivals, GOAL.wait)) == waits


def planned(pools: dict[str, Pool], arrivals: dict[str, Arrivals], gpus: int, *, by_hours: bool = True) -> Plan:
    return plan(pools, arrivals, GOAL, gpus, 0, DAY, by_hours=by_hours)


def test_what_is_promised_is_never_without_a_replica() -> None:
    pools = {"busy": make_pool("busy"), "idle": make_pool("idle"), "free": make_pool("free", promised=False)}
    arrivals = {"busy": noisy(1, 0.2, 30), "idle": Arrivals([], []), "free": steady(7200, 10, DAY)}
    models = {each.pool.model: each for each in planned(pools, arrivals, 6).models}
    assert models["busy"].scaling.least >= 1
    assert (models["idle"].scaling.least, models["idle"].scaling.floors) == (1, ())
    assert models["free"].scaling.least == 0
    assert models["free"].scaling.most >= 1
    assert list(models) == ["busy", "free", "idle"]


def test_promises_that_do_not_fit_are_refused() -> None:
    pools = {"a": make_pool("a", gpus=8), "b": make_pool("b", gpus=2)}
    with pytest.raises(PlanError, match="takes 10 GPUs, and there are 9: promise fewer"):
        planned(pools, dict.fromkeys(pools, Arrivals([], [])), 9)


def test_what_does_not_fit_beside_promises_gets_none() -> None:
    pools = {"a": make_pool("a", gpus=2), "large": make_pool("large", gpus=8, promised=False)}
    arrivals = {"a": steady(60, 10, DAY), "large": steady(600, 10, DAY)}
    models = {each.pool.model: each for each in planned(pools, arrivals, 8).models}
    assert models["large"].scaling.most == 0


@pytest.mark.parametrize("gpus", [3, 5, 12])
def test_minima_fit_at_every_hour(gpus: int) -> None:
    pools = {"a": make_pool("a", slots=2), "b": make_pool("b", slots=2, gpus=2)}
    arrivals = {"a": noisy(1, 0.15, 40), "b": noisy(2, 0.1, 40)}
    made = planned(pools, arrivals, gpus)
    assert all(made.least_gpus(hour) <= gpus for hour in range(HOURS))
    assert all(each.scaling.most >= max(each.scaling.floors, default=each.scaling.least) for each in made.models)


def test_demand_raises_it() -> None:
    def of(rate: float) -> tuple[int, int]:
        [only] = planned({"m": make_pool()}, {"m": noisy(1, rate, 30)}, 30).models
        return only.peak, only.reserved

    low, middle, high = of(0.05), of(0.25), of(0.5)
    assert low < middle < high


def test_the_plan_keeps_the_goal_on_what_it_was_made_from() -> None:
    made = planned({"m": make_pool()}, {"m": noisy(1, 0.2, 40)}, 20)
    assert made.models[0].late <= 0.05 * made.models[0].requests


def test_hindsight_costs_no_more_than_the_plan_for_no_fewer_in_time() -> None:
    pools = {"a": make_pool("a"), "b": make_pool("b", promised=False)}
    made = planned(pools, {"a": noisy(1, 0.2, 40), "b": noisy(2, 0.005, 20)}, 12)
    tried = {"a": noisy(3, 0.2, 40), "b": noisy(4, 0.005, 20)}
    results = compare(made, Week(pools=pools, arrivals=tried, begin=0, end=DAY, gpus=12))
    did = {each.policy: each for each in results}
    for policy in (HINDSIGHT, PROMPT):
        assert did[policy].gpu_hours <= did[PLAN].gpu_hours
        assert did[policy].share >= did[PLAN].share
    assert ratio(results, PLAN) >= 1.0
    count = sum(len(each.times) for each in tried.values())
    assert all(sum(outcome.requests for outcome in each.models.values()) == count for each in results)


def test_hindsight_starts_before_it_is_needed() -> None:
    pool = make_pool(startup=120, promised=False)
    once = Arrivals([6 * HOUR + 30.0], [60.0])
    best = min(hindsight.options(pool, once, GOAL, 0, DAY), key=lambda option: option.late)
    assert best.late == 0
    assert best.gpu_hours * HOUR == pytest.approx(120 + 120, abs=60)


def test_nobody_waits_for_longer_than_patience_in_hindsight() -> None:
    pool = make_pool(promised=False)
    rare = noisy(1, 0.002, 20)
    for patience in (70.0, 600.0):
        for option in hindsight.options(pool, rare, GOAL, 0, DAY, patience):
            assert max(option.what.waits) <= patience + 60


def test_the_next_gpu_hour_goes_to_where_it_saves_most() -> None:
    def option(gpu_hours: float, late: int) -> Option[None]:
        return Option(gpu_hours=gpu_hours, late=late, what=None)

    worse = option(2, 100)
    steep, flat = [option(1, 100), worse, option(2, 20), option(3, 10)], [option(1, 50), option(5, 0)]
    assert worse not in efficient(steep)
    chosen = cheapest({"steep": steep, "flat": flat}, 70)
    assert {model: each.gpu_hours for model, each in chosen.items()} == {"steep": 2, "flat": 1}
    chosen = cheapest({"steep": steep, "flat": flat}, 0)
    assert {model: each.gpu_hours for model, each in chosen.items()} == {"steep": 3, "flat": 5}


def test_percentiles_are_of_requests() -> None:
    assert [percentile({0.0: 90, 12.0: 9, 60.0: 1}, share) for share in (0.5, 0.9, 0.95, 0.99, 1)] == [
        0,
        0,
        12,
        12,
        60,
    ]
    assert percentile({}, 0.5) == 0
