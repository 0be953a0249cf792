"""The arithmetic of canaries' history: which hour and day each counts in, what is kept, and what is told of it."""

import pytest

from gateway.uptime import DAY, HOUR, LASTS, Span, Tally, fields, history, is_over

NOON = 1_795_608_000.0  # 2026-11-25, 12:00 UTC
TODAY = 1_795_564_800
HOURS = int(NOON // 3600)
DAYS = int(NOON // 86_400)


def test_a_canary_counts_in_its_hour_and_its_day() -> None:
    assert fields(True, NOON + 3599.9) == [f"hour:{HOURS}:succeeded", f"day:{DAYS}:succeeded"]
    assert fields(False, NOON + 3600) == [f"hour:{HOURS + 1}:failed", f"day:{DAYS}:failed"]
    assert fields(False, NOON + 43_200)[1] == f"day:{DAYS + 1}:failed"


@pytest.mark.parametrize(("span", "now"), [(HOUR, HOURS), (DAY, DAYS)], ids=["hours", "days"])
def test_so_many_are_kept_the_present_one_among_them(span: Span, now: int) -> None:
    def over(number: int) -> bool:
        return is_over(f"{span.name}:{number}:failed".encode(), NOON)

    assert [over(now - age) for age in (-1, 0, span.most - 1, span.most)] == [False, False, False, True]


def test_three_days_of_hours_and_ninety_days_are_kept_for_longer_than_that() -> None:
    assert (HOUR.most, DAY.most) == (72, 90)
    assert DAY.most * DAY.seconds < LASTS


def test_nothing_is_known_without_canaries() -> None:
    assert history({}, NOON).hours == history({}, NOON).days == []


def test_what_is_told() -> None:
    found = {
        b"hour:%d:succeeded" % HOURS: b"60",
        b"hour:%d:failed" % HOURS: b"1",
        b"hour:%d:failed" % (HOURS - 71): b"5",
        b"hour:%d:succeeded" % (HOURS - 72): b"7",  # too old
        b"day:%d:succeeded" % DAYS: b"1440",
        b"day:%d:succeeded" % (DAYS - 89): b"2",
        b"day:%d:failed" % (DAYS - 90): b"3",  # too old
    }
    told = history(dict(reversed(found.items())), NOON)
    assert told.hours == [Tally(int(NOON) - 71 * 3600, 0, 5), Tally(int(NOON), 60, 1)]
    assert told.days == [Tally(TODAY - 89 * 86_400, 2, 0), Tally(TODAY, 1440, 0)]


def test_days_go_by_without_a_canary() -> None:
    found = {b"hour:%d:succeeded" % HOURS: b"1", b"day:%d:succeeded" % DAYS: b"1"}
    later = history(found, NOON + 80 * 86_400)
    assert (later.hours, later.days) == ([], [Tally(TODAY, 1, 0)])
    assert history(found, NOON + 90 * 86_400).days == []


@pytest.mark.parametrize("field", [b"week:1:failed", b"hour:x:failed", b"hour:1:lost", b"hour:1", b"", b"\xff"])
def test_what_another_version_has_made_is_left_alone(field: bytes) -> None:
    assert not is_over(field, NOON)
    assert history({field: b"1"}, NOON).hours == []
