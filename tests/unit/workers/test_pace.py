"""How fast a worker says that it is: of the last seconds, whenever its reports come."""

import pytest

from workers.reporter import LATELY, Pace


def test_nothing_is_known_at_first() -> None:
    assert Pace().note(100, 7.0) == 0


@pytest.mark.parametrize("every", [0.1, 2.0, LATELY, 20.0])
def test_a_steady_pace_is_told_as_it_is(every: float) -> None:
    pace = Pace()
    told = [pace.note(round(300 * number * every), number * every) for number in range(200)]
    assert told[1:] == [pytest.approx(300, rel=0.001)] * 199


def test_what_was_before_is_forgotten() -> None:
    pace = Pace()
    for second in range(0, 100, 2):
        pace.note(1000 * second, second)
    told = [pace.note(98_000, 98 + second) for second in range(2, 10, 2)]
    assert told[0] > told[1] > told[-1] == 0


def test_a_report_out_of_turn_does_not_tell_of_a_moment() -> None:
    pace = Pace()
    for second in range(0, 20, 2):
        pace.note(50 * second, second)
    assert pace.note(18 * 50 + 1, 18.001) == pytest.approx(50, rel=0.01)


def test_no_more_is_kept_than_is_needed() -> None:
    pace = Pace()
    for number in range(10_000):
        pace.note(number, number / 10)
    assert len(pace._seen) <= LATELY * 10 + 2
