"""Replayed weeks: every request is accounted for, and what is known beforehand happens."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.planning import workload
from gateway.planning.autoscaler import Autoscaler, Fixed, Scaling, Timetable
from gateway.planning.pools import DAY, HOUR, Arrivals
from gateway.planning.simulation import Outcome, share_in_time, simulate
from tests.unit.gateway.planning.traffic import make_pool, noisy, steady


def alone(pool: object, arrivals: Arrivals, scaler: object, **more: object) -> Outcome:
    return simulate({"m": pool}, {"m": arrivals}, {"m": scaler}, **{"end": HOUR} | more)["m"]  # type: ignore[arg-type,dict-item]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3600, exclude_max=True), st.floats(0, 500)), max_size=60),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 1),
)
def test_no_request_is_lost(jobs: list[tuple[float, float]], slots: int, gpus: int, least: int) -> None:
    jobs.sort()
    arrivals = Arrivals([comes for comes, _ in jobs], [service for _, service in jobs])
    scaler = Autoscaler(Scaling(least=least, most=4, target=slots))
    outcome = alone(make_pool(slots=slots), arrivals, scaler, gpus=gpus)
    assert outcome.requests == len(jobs)
    assert math.inf not in outcome.waits
    assert outcome.gpu_hours <= min(gpus, 5) * 1.0
    assert outcome.most_replicas <= min(4, gpus)


def test_what_nobody_ever_serves_waits_for_ever() -> None:
    outcome = alone(make_pool(gpus=8), steady(60, 10, HOUR), Fixed(1), gpus=4)
    assert outcome.waits == {math.inf: 60}
    assert outcome.late(1e9) == 60
    assert outcome.gpu_hours == 0


def test_fixed_replicas_cost_their_hours_and_serve_what_fits() -> None:
    outcome = alone(make_pool(gpus=2), steady(60, 30, HOUR), Fixed(3))
    assert outcome.waits == {0.0: 60}
    assert outcome.gpu_hours == pytest.approx(6.0)


def test_who_finds_no_replica_waits_for_its_start() -> None:
    outcome = alone(make_pool(startup=90), Arrivals([600.0], [30.0]), Autoscaler(Scaling(most=1, target=4)))
    [wait] = outcome.waits
    assert 90 <= wait <= 90 + 15 + 3
    # It starts, serves, and goes after its cooldown.
    assert outcome.gpu_hours * HOUR == pytest.approx(90 + 30 + 60, abs=30)


def test_a_replica_that_starts_holds_its_gpus() -> None:
    timetable = Timetable([0, 600, 1200], [0, 1, 0])
    outcome = alone(make_pool(startup=10_000), Arrivals([], []), timetable)
    assert outcome.gpu_hours == pytest.approx(600 / HOUR)


def test_a_full_batch_is_slower() -> None:
    pool = make_pool(slots=4, slowdown=1.0)
    assert [round(pool.pace(running), 3) for running in (1, 2.5, 4)] == [0.667, 1.0, 1.333]
    assert make_pool(slots=1).pace(1) == 1.0


def test_two_models_never_hold_more_gpus_than_there_are() -> None:
    pools = {"a": make_pool("a", gpus=2), "b": make_pool("b", gpus=3)}
    arrivals = {model: noisy(seed, 0.5, 60, HOUR) for seed, model in enumerate(pools)}
    scalers = {model: Autoscaler(Scaling(least=1, most=9, target=4)) for model in pools}
    tight = simulate(pools, arrivals, scalers, end=HOUR, gpus=7)
    assert sum(outcome.gpu_hours for outcome in tight.values()) <= 7
    assert all(outcome.requests == len(arrivals[model].times) for model, outcome in tight.items())
    free = simulate(pools, arrivals, scalers, end=HOUR)
    assert share_in_time(free.values(), 10) > share_in_time(tight.values(), 10)


def test_equal_seeds_make_equal_weeks_and_equal_results() -> None:
    one, two = (workload.generate("bursty", 7, requests=2000) for _ in range(2))
    assert one == two
    assert one != workload.generate("bursty", 8, requests=2000)
    pools = workload.fleet()

    def run(arrivals: dict[str, Arrivals]) -> dict[str, Outcome]:
        scalers = {model: Autoscaler(Scaling(most=3, target=pool.slots)) for model, pool in pools.items()}
        return simulate(pools, arrivals, scalers, end=7 * DAY, gpus=40)

    assert run(one) == run(two)


def test_made_up_weeks_are_what_they_are_called() -> None:
    skewed, viral = (workload.generate(kind, 3, requests=40_000) for kind in ("skewed", "viral"))
    counts = {model: len(arrivals.times) for model, arrivals in skewed.items()}
    assert sum(counts.values()) == pytest.approx(40_000, rel=0.05)
    assert counts["llama3.1-8b"] > 5 * counts["llama3.1-405b"] > 50 * counts["tinyllama"]
    assert len(viral["gemma_7b"].times) > 3 * counts["gemma_7b"]
    assert viral["llama3.1-8b"] == skewed["llama3.1-8b"]
    by_hour = [sum(1 for time in skewed["llama3.1-8b"].times if time % DAY // HOUR == hour) for hour in range(24)]
    assert by_hour.index(max(by_hour)) in range(12, 19)
    assert max(by_hour) > 3 * min(by_hour)
