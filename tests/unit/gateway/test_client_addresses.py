"""Where clients come from, and how many wrong keys are put up with."""

import pytest

from gateway import addresses
from gateway.addresses import MINUTE, WrongKeys, client_address
from shared.errors import TooManyWrongKeys
from tests.clock import Clock


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:51234", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("x" * 1000, "x" * 64),
        ("", ""),
        (None, ""),
    ],
)
def test_an_address_is_one_clients(told: str | None, address: str) -> None:
    assert client_address({"REMOTE_ADDR": told}) == address


def refused(wrong: WrongKeys, address: str) -> int | None:
    """The seconds to wait, if one has to."""
    try:
        wrong.check(address)
    except TooManyWrongKeys as error:
        return error.retry_after
    return None


def test_so_many_are_put_up_with_until_a_minute_after_the_first() -> None:
    clock = Clock()
    wrong = WrongKeys(3, clock)
    for _ in range(3):
        assert refused(wrong, "a") is None
        wrong.note("a")
        clock.now += 10
    assert refused(wrong, "a") == MINUTE - 30
    assert refused(wrong, "b") is None
    clock.now += MINUTE - 30.5
    assert refused(wrong, "a") == 1
    clock.now += 0.6
    assert refused(wrong, "a") is None


def test_nothing_is_held_against_nobody() -> None:
    wrong = WrongKeys(1, Clock())
    wrong.note("")
    assert refused(wrong, "") is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST_ADDRESSES", 100)
    wrong = WrongKeys(1, Clock())
    for number in range(1000):
        wrong.note(str(number))
    assert len(wrong._counts) == 100
    assert refused(wrong, "999") is not None
