"""The keyring: what it takes for a key, how long it remembers, and what a dead database looks like."""

import pytest

from gateway.auth import CACHE_SECONDS, Keyring
from shared.accounts import Holder
from shared.errors import AccountsUnreachable, InvalidKey, SetupError

HOLDER = Holder(account="acc", key="k", tier="free")


class FakeAccounts:
    def __init__(self) -> None:
        self.keys = {"sk-crof-1": HOLDER}
        self.asked = 0
        self.up = True

    def find(self, secret: str) -> Holder | None:
        self.asked += 1
        if not self.up:
            raise SetupError("the database does not answer")
        return self.keys.get(secret)


@pytest.fixture
def accounts() -> FakeAccounts:
    return FakeAccounts()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_remembered_for_a_second(accounts: FakeAccounts) -> None:
    clock = Clock()
    keyring = Keyring(accounts, clock)  # type: ignore[arg-type]
    assert [keyring.holder("sk-crof-1") for _ in range(3)] == [HOLDER] * 3
    assert accounts.asked == 1
    accounts.keys.clear()
    clock.now += CACHE_SECONDS + 0.01
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
