"""Admins' keys, on SQLite and on PostgreSQL: made, handed in, and not lost unawares."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.accounts import Accounts, NewKey
from shared.admin_keys import AdminKeys
from shared.errors import LastAdminKey, SetupError
from shared.key_format import PREFIX
from shared.sql import Database
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    return Accounts(database, clock)


@pytest.fixture
def admins(database: Database, clock: Clock) -> AdminKeys:
    return AdminKeys(database, clock)


def admin(accounts: Accounts, name: str, expires: float | None = None) -> NewKey:
    found = accounts.list_accounts(name=name)
    account = found[0] if found else accounts.create_account(name, "free")
    return accounts.add_key(account, name, admin=True, expires=expires)


def test_one_admins_key_is_made_and_no_more_while_it_is_valid(admins: AdminKeys, accounts: Accounts) -> None:
    kept: list[str] = []
    assert admins.make("premium", kept.append)
    assert not admins.make("premium", kept.append)
    [secret] = kept
    holder = accounts.find(secret)
    assert holder is not None
    assert (holder.admin, holder.tier) == (True, "premium")
    accounts.revoke_key(holder.key, force=True)
    assert admins.make("premium", kept.append)
    assert len(accounts.list_accounts()) == 1
    assert len(kept) == 2


def test_an_admins_key_that_cannot_be_kept_is_not_made(admins: AdminKeys, accounts: Accounts) -> None:
    def keep(secret: str) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        admins.make("premium", keep)
    assert accounts.list_keys() == []
    assert accounts.list_accounts() == []


def test_an_admins_key_is_adopted_once(admins: AdminKeys, accounts: Accounts) -> None:
    secret = PREFIX + "a" * 40
    for _ in range(2):
        admins.adopt("premium", secret)
    assert [key.admin for key in accounts.list_keys()] == [True]
    holder = accounts.find(secret)
    assert holder is not None
    assert holder.admin
    assert not admins.make("premium", lambda secret: None)
    accounts.revoke_key(holder.key, force=True)
    with pytest.raises(SetupError, match="CROFAI_ADMIN_KEY is a revoked key"):
        admins.adopt("premium", secret)
    with pytest.raises(SetupError, match="CROFAI_ADMIN_KEY is no admin key"):
        admins.adopt("premium", accounts.create_key("ann", "free").secret)


@pytest.mark.parametrize("secret", ["", "hunter2", PREFIX + "short", "x" * 80, PREFIX + "é" * 40])
def test_what_is_easily_guessed_is_not_adopted(admins: AdminKeys, secret: str) -> None:
    with pytest.raises(SetupError, match="CROFAI_ADMIN_KEY should be sk-crof- and at least 32") as caught:
        admins.adopt("premium", secret)
    assert not secret or secret not in str(caught.value)


def test_the_last_one_is_revoked_by_force_alone(admins: AdminKeys, accounts: Accounts) -> None:
    first, second = admin(accounts, "ann"), admin(accounts, "bob")
    accounts.create_key("carl", "free")
    accounts.revoke_key(first.id)
    with pytest.raises(LastAdminKey):
        accounts.revoke_key(second.id)
    assert admins.is_valid(second.secret)
    accounts.revoke_key(second.id, force=True)
    assert not admins.is_valid(second.secret)


def test_the_last_one_gets_no_end_but_by_force(accounts: Accounts) -> None:
    key = admin(accounts, "ann")
    with pytest.raises(LastAdminKey):
        accounts.change_key(key.id, {"expires": 2000})
    renamed = accounts.change_key(key.id, {"name": "new", "expires": None, "models": ["m"]})
    assert renamed is not None
    assert (renamed.name, renamed.expires) == ("new", None)
    forced = accounts.change_key(key.id, {"expires": 2000}, force=True)
    assert forced is not None
    assert forced.expires == 2000


def test_one_that_has_an_end_does_not_take_the_place_of_one_that_has_none(accounts: Accounts) -> None:
    for_good, for_now = admin(accounts, "ann"), admin(accounts, "bob", expires=2000)
    with pytest.raises(LastAdminKey):
        accounts.revoke_key(for_good.id)
    accounts.revoke_key(for_now.id)


def test_of_those_that_have_an_end_the_last_stays(accounts: Accounts, clock: Clock) -> None:
    first, second = admin(accounts, "ann", expires=2000), admin(accounts, "bob", expires=3000)
    accounts.change_key(second.id, {"expires": 2500})
    clock.now = 2000
    with pytest.raises(LastAdminKey):
        accounts.revoke_key(second.id)
    accounts.revoke_key(first.id)


def test_those_of_a_suspended_account_do_not_count(admins: AdminKeys, accounts: Accounts) -> None:
    kept, other = admin(accounts, "ann"), admin(accounts, "admin")
    accounts.change_account(other.account, suspended=True)
    with pytest.raises(LastAdminKey):
        accounts.revoke_key(kept.id)
    accounts.revoke_key(kept.id, force=True)
    secrets: list[str] = []
    assert admins.make("free", secrets.append)
    assert admins.is_valid(secrets[0])
    assert not admins.is_valid(other.secret), "the account stays suspended"


def test_two_that_are_revoked_at_once_are_not_both(database_url: str, accounts: Accounts) -> None:
    keys = [admin(accounts, "ann"), admin(accounts, "bob")]

    def revoke(key: NewKey) -> bool:
        other = Accounts(database_url, Clock(1000))
        try:
            other.revoke_key(key.id)
        except LastAdminKey:
            return False
        finally:
            other.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(revoke, keys)) == [False, True]
