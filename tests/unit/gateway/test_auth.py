"""The keyring: what it takes for a key, how long it remembers, and what a dead database looks like."""

import threading
import time
from dataclasses import replace

import gevent
import pytest

from gateway import auth
from gateway.auth import FRESH, STALE, Keyring
from gateway.threads import Threads
from shared.accounts import Holder
from shared.errors import AccountsUnreachable, AccountSuspended, InvalidKey, SetupError, TooManyWrongKeys
from tests.clock import Clock

HOLDER = Holder(account="acc", key="k", tier="free")


class FakeAccounts:
    def __init__(self) -> None:
        self.keys = {"sk-crof-1": HOLDER}
        self.asked = 0
        self.up = True
        self.noted: list[set[str]] = []

    def find(self, secret: str) -> Holder | None:
        self.asked += 1
        if not self.up:
            raise SetupError("the database does not answer")
        return self.keys.get(secret)

    def note_uses(self, key_ids: set[str]) -> None:
        if not self.up:
            raise SetupError("the database does not answer")
        self.noted.append(key_ids)


@pytest.fixture
def accounts() -> FakeAccounts:
    return FakeAccounts()


def test_a_key_is_remembered_for_a_second(accounts: FakeAccounts) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock)  # type: ignore[arg-type]
    assert [keyring.holder("sk-crof-1") for _ in range(3)] == [HOLDER] * 3
    assert accounts.asked == 1
    accounts.keys.clear()
    clock.now += FRESH + 0.01
    with pytest.raises(InvalidKey):
        keyring.holder("sk-crof-1")


@pytest.mark.parametrize("secret", [None, 3, "", "sk-crof-2", "é", "\ud800", {"a": 1}])
def test_what_is_no_key_is_refused(accounts: FakeAccounts, secret: object) -> None:
    with pytest.raises(InvalidKey):
        Keyring(accounts, Clock()).holder(secret)  # type: ignore[arg-type]


def test_a_dead_database_is_no_wrong_key(accounts: FakeAccounts) -> None:
    accounts.up = False
    with pytest.raises(AccountsUnreachable):
        Keyring(accounts, Clock()).holder("sk-crof-1")  # type: ignore[arg-type]


def test_known_keys_outlast_a_dead_database(accounts: FakeAccounts) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1")
    accounts.up = False
    clock.now += STALE - 1
    assert keyring.holder("sk-crof-1") == HOLDER
    clock.now += 2
    with pytest.raises(AccountsUnreachable):
        keyring.holder("sk-crof-1")


def test_a_revoked_key_is_not_brought_back_by_a_dead_database(accounts: FakeAccounts) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1")
    accounts.keys.clear()
    clock.now += FRESH + 0.01
    with pytest.raises(InvalidKey):
        keyring.holder("sk-crof-1")
    accounts.up = False
    with pytest.raises(AccountsUnreachable):
        keyring.holder("sk-crof-1")


def test_uses_are_noted_once_and_kept_until_they_are(accounts: FakeAccounts) -> None:
    keyring = Keyring(accounts, Clock())  # type: ignore[arg-type]
    keyring.holder("sk-crof-1")
    accounts.up = False
    keyring.note_uses()
    accounts.up = True
    keyring.note_uses()
    keyring.note_uses()
    assert accounts.noted == [{"k"}, set()]


def test_a_slow_database_holds_up_nobody_else(accounts: FakeAccounts) -> None:
    """The hub goes on while a thread waits for the database."""
    accounts.find = lambda secret: time.sleep(0.5) or HOLDER  # type: ignore[assignment,func-returns-value]
    asking = gevent.spawn(Keyring(accounts, Clock()).holder, "sk-crof-1")  # type: ignore[arg-type]
    gevent.sleep(0.05)
    assert not asking.dead
    assert asking.get(timeout=5) == HOLDER


def test_many_who_come_at_once_with_one_key_ask_once(accounts: FakeAccounts) -> None:
    asked = []
    accounts.find = lambda secret: asked.append(secret) or time.sleep(0.05) or HOLDER  # type: ignore[assignment,func-returns-value]
    keyring = Keyring(accounts, Clock())  # type: ignore[arg-type]
    asking = [gevent.spawn(keyring.holder, "sk-crof-1") for _ in range(2 * auth.MOST_ASKING)]
    assert [each.get(timeout=5) for each in asking] == [HOLDER] * len(asking)
    assert asked == ["sk-crof-1"]


def test_a_known_key_waits_a_moment_for_a_slow_database(
    accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the database says at last is believed."""
    monkeypatch.setattr(auth, "PATIENCE", 0.05)
    clock, answered = Clock(), threading.Event()
    keyring = Keyring(accounts, clock)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1")
    clock.now += FRESH + 0.01
    accounts.find = lambda secret: answered.wait(5) and None  # type: ignore[assignment,func-returns-value]
    assert keyring.holder("sk-crof-1") == HOLDER
    clock.now += FRESH + 0.01
    answered.set()
    with pytest.raises(InvalidKey):
        keyring.holder("sk-crof-1")


def test_a_known_key_is_known_though_too_many_ask(accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1")
    clock.now += FRESH + 0.01
    monkeypatch.setattr(keyring, "_threads", Threads(1, 0))
    assert keyring.holder("sk-crof-1") == HOLDER
    with pytest.raises(AccountsUnreachable):
        keyring.holder("sk-crof-2")


def test_a_key_is_good_until_it_expires_and_no_longer(accounts: FakeAccounts) -> None:
    """Whatever is remembered of it, and whether or not the database answers."""
    accounts.keys["sk-crof-1"] = replace(HOLDER, expires=1000.0)
    clock = Clock(999.9)
    keyring = Keyring(accounts, Clock(), clock=clock)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1")
    clock.now = 1000
    accounts.up = False
    with pytest.raises(InvalidKey):
        keyring.holder("sk-crof-1")


def test_a_suspended_account_is_told_so(accounts: FakeAccounts) -> None:
    accounts.keys["sk-crof-1"] = replace(HOLDER, suspended=True)
    with pytest.raises(AccountSuspended):
        Keyring(accounts, Clock()).holder("sk-crof-1")  # type: ignore[arg-type]


def test_wrong_keys_are_looked_up_so_often_and_then_no_more(accounts: FakeAccounts) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock, most_wrong=3)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1", "a")
    for secret in ("sk-crof-2", "é", None):
        with pytest.raises(InvalidKey):
            keyring.holder(secret, "a")
    asked = accounts.asked
    accounts.keys["sk-crof-3"] = HOLDER
    for secret in ("sk-crof-2", "sk-crof-3", None):
        with pytest.raises(TooManyWrongKeys):
            keyring.holder(secret, "a")
    assert accounts.asked == asked
    keyring.holder("sk-crof-3", "b")
    clock.now += 60.1
    keyring.holder("sk-crof-3", "a")


def test_a_key_that_was_right_goes_on_whatever_its_neighbours_send(accounts: FakeAccounts) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock, most_wrong=1)  # type: ignore[arg-type]
    keyring.holder("sk-crof-1", "a")
    with pytest.raises(InvalidKey):
        keyring.holder("sk-crof-2", "a")
    clock.now += FRESH + 0.01
    assert keyring.holder("sk-crof-1", "a") == HOLDER
    accounts.keys.clear()
    clock.now += FRESH + 0.01
    with pytest.raises(InvalidKey):
        keyring.holder("sk-crof-1", "a")
    with pytest.raises(TooManyWrongKeys):
        keyring.holder("sk-crof-1", "a")
