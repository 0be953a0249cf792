"""The rules of KEDA and Kubernetes, as they are documented."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.planning.autoscaler import Autoscaler, Scaling, Timetable, wanted
from gateway.planning.pools import DAY, HOUR


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_as_many_as_the_open_jobs_are_times_the_target(open_jobs: int, target: int) -> None:
    assert wanted(open_jobs, target, 0) == math.ceil(open_jobs / target)


@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(1, 50))
def test_within_a_tenth_of_the_target_nothing_changes(open_jobs: int, target: int, current: int) -> None:
    near = abs(open_jobs / (current * target) - 1) <= 0.1
    assert wanted(open_jobs, target, current) == (current if near else math.ceil(open_jobs / target))


def test_minimum_and_maximum_hold() -> None:
    scaler = Autoscaler(Scaling(least=2, most=5, target=10))
    assert scaler.desired(0, 0, 2) == 2
    assert scaler.desired(15, 1000, 4) == 5


def test_the_first_comes_with_the_first_job() -> None:
    assert Autoscaler(Scaling(most=3, target=10)).desired(0, 1, 0) == 1


def test_the_last_goes_when_no_job_was_open_for_the_cooldown() -> None:
    scaler = Autoscaler(Scaling(most=3, target=10, cooldown=60))
    assert scaler.desired(0, 1, 0) == 1
    assert [scaler.desired(now, 0, 1) for now in (15, 45, 60)] == [1, 1, 0]


def test_fewer_only_once_nothing_has_wanted_more_for_the_window() -> None:
    scaler = Autoscaler(Scaling(least=1, most=9, target=10, stabilization=120, every=60))
    assert scaler.desired(0, 40, 4) == 4
    assert [scaler.desired(now, 10, 4) for now in (15, 60, 120)] == [4, 4, 4]
    assert scaler.desired(135, 10, 4) == 3
    assert [scaler.desired(now, 10, 3) for now in (150, 195)] == [3, 2]


def test_no_more_at_once_than_kubernetes_starts() -> None:
    scaler = Autoscaler(Scaling(most=100, target=1))
    assert scaler.desired(0, 100, 1) == 5
    assert scaler.desired(15, 100, 5) == 10


def test_floors_follow_the_hours_of_the_week() -> None:
    floors = tuple(2 if hour % 24 == 9 else 0 for hour in range(168))
    scaling = Scaling(most=4, floors=floors)
    assert [scaling.floor(DAY + at * HOUR) for at in (8.99, 9, 9.99, 10)] == [0, 2, 2, 0]
    assert Autoscaler(scaling).desired(9 * HOUR, 0, 0) == 2
    assert scaling.floor(7 * DAY + 9 * HOUR) == 2


@pytest.mark.parametrize(("now", "replicas"), [(0, 0), (5, 1), (9.9, 1), (10, 3), (99, 3)])
def test_a_timetable_says_when(now: float, replicas: int) -> None:
    assert Timetable([5, 10], [1, 3]).desired(now, 0, 0) == replicas
