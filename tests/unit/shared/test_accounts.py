"""Accounts and keys, on SQLite and on PostgreSQL: made, found, listed, changed, revoked."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sql

from shared.account_tables import ACCOUNTS
from shared.accounts import DAY, NEW_DAYS, Account, Accounts, Holder, Key
from shared.errors import (
    InvalidKey,
    InvalidName,
    InvalidRequest,
    KeyExpired,
    KeyRevoked,
    KeyTooNarrow,
    NameTaken,
    SetupError,
    TooManyKeys,
)
from shared.key_format import PREFIX
from shared.sql import Database
from shared.tiers import Limits
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000)


@pytest.fixture
def accounts(database_url: str, clock: Clock) -> Iterator[Accounts]:
    accounts = Accounts(database_url, clock)
    accounts.migrate()
    yield accounts
    accounts.close()


@pytest.fixture
def in_file(tmp_path: Path) -> Accounts:
    """In a file of SQLite's."""
    accounts = Accounts(f"sqlite:///{tmp_path / 'folder' / 'crofai.db'}")
    accounts.migrate()
    return accounts


def test_a_new_key_is_found_by_its_secret(accounts: Accounts) -> None:
    key = accounts.create_key("ann", "premium")
    assert accounts.find(key.secret) == Holder(account=key.account, key=key.id, tier="premium")


def test_secrets_are_long_random_and_recognisable(accounts: Accounts) -> None:
    secrets = {accounts.create_key("ann", "free").secret for _ in range(20)}
    assert len(secrets) == 20
    assert all(secret.startswith(PREFIX) and len(secret) >= len(PREFIX) + 32 for secret in secrets)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\0", "x" * 101])
def test_what_is_no_name_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(InvalidName, match="1 to 100 printable"):
        accounts.create_key(name, "free")
    assert accounts.list_keys() == []


def test_a_name_may_have_100_characters_of_any_script(accounts: Accounts) -> None:
    assert accounts.create_key("名" * 100, "free").name == "名" * 100


@pytest.mark.parametrize("secret", ["", "sk-crof-wrong", "\ud800", "x" * 100_000])
def test_other_text_is_nobodys_key(accounts: Accounts, secret: str) -> None:
    accounts.create_key("ann", "free")
    assert accounts.find(secret) is None


def test_the_secret_is_nowhere_in_the_database(in_file: Accounts, tmp_path: Path) -> None:
    secret = in_file.create_key("ann", "free").secret
    stored = b"".join(file.read_bytes() for file in (tmp_path / "folder").iterdir())
    assert b"ann" in stored
    assert secret.encode() not in stored
    assert secret.removeprefix(PREFIX).encode() not in stored


def test_keys_of_one_name_belong_to_one_account(accounts: Accounts) -> None:
    first, second = accounts.create_key("ann", "free"), accounts.create_key("ann", "free")
    assert first.account == second.account
    assert accounts.create_key("bob", "free").account != first.account


def test_a_key_of_another_tier_than_its_account_is_refused(accounts: Accounts) -> None:
    accounts.create_key("ann", "free")
    with pytest.raises(NameTaken, match="'ann' is of the tier 'free', not 'premium'"):
        accounts.create_key("ann", "premium")
    assert len(accounts.list_keys()) == 1


def test_an_account_has_a_name_and_a_tier(accounts: Accounts) -> None:
    ann = accounts.create_account("ann", "free")
    assert (ann.name, ann.tier, ann.created, ann.suspended) == ("ann", "free", 1000, None)
    assert accounts.account(ann.id) == ann
    assert accounts.account("acc_none") is None
    assert accounts.list_accounts(name="ann") == [ann]
    with pytest.raises(NameTaken, match="there is an account 'ann' already"):
        accounts.create_account("ann", "premium")
    with pytest.raises(InvalidName):
        accounts.create_account("a\nb", "free")


def test_what_is_not_given_is_not_changed(accounts: Accounts, clock: Clock) -> None:
    ann = accounts.create_account("ann", "free")
    assert accounts.change_account(ann.id) == ann
    clock.now = 2000
    suspended = accounts.change_account(ann.id, suspended=True)
    assert suspended == Account(id=ann.id, name="ann", tier="free", created=1000, suspended=2000)
    clock.now = 3000
    changed = accounts.change_account(ann.id, tier="premium", suspended=True)
    assert changed is not None
    assert (changed.tier, changed.suspended) == ("premium", 2000)
    again = accounts.change_account(ann.id, suspended=False)
    assert again is not None
    assert (again.tier, again.suspended) == ("premium", None)
    assert accounts.change_account("acc_none", tier="free") is None


def test_accounts_of_tiers_that_are_gone_are_counted(accounts: Accounts) -> None:
    for name, tier in (("bob", "gold"), ("ann", "gold"), ("carl", "old"), ("dan", "free")):
        accounts.create_account(name, tier)
    assert accounts.of_other_tiers({"free", "premium"}) == [("gold", 2, "ann"), ("old", 1, "carl")]
    assert accounts.of_other_tiers({"free", "gold", "old"}) == []


def test_a_tier_and_a_suspension_are_those_of_all_keys_of_an_account(accounts: Accounts) -> None:
    ann = accounts.create_account("ann", "free")
    key = accounts.add_key(ann, "laptop")
    accounts.change_account(ann.id, tier="premium", suspended=True)
    holder = accounts.find(key.secret)
    assert holder == Holder(account=ann.id, key=key.id, tier="premium", suspended=True)


def test_a_key_has_scopes_limits_and_an_expiry(accounts: Accounts, clock: Clock) -> None:
    ann = accounts.create_account("ann", "premium")
    limits = Limits(requests_per_minute=3)
    key = accounts.add_key(ann, "ci", admin=True, models=["b", "a"], tiers=["free"], limits=limits, expires=1000.5)
    assert accounts.find(key.secret) == Holder(
        account=ann.id,
        key=key.id,
        tier="premium",
        admin=True,
        models=frozenset("ab"),
        tiers=frozenset({"free"}),
        limits=limits,
        expires=1000.5,
    )
    fields = {name: getattr(key, name) for name in Key.__dataclass_fields__}
    assert accounts.key(key.id) == Key(**fields)
    assert accounts.list_keys() == [Key(**fields)]
    clock.now = 1000.5
    assert accounts.find(key.secret) is None


def test_a_key_is_changed_by_field_and_null_takes_a_bound_back(accounts: Accounts) -> None:
    ann = accounts.create_account("ann", "premium")
    key = accounts.add_key(ann, "ci", models=[], tiers=["free"], limits=Limits(units_per_day=1), expires=5000)
    changed = accounts.change_key(key.id, {"name": "laptop", "models": None})
    assert changed is not None
    assert (changed.name, changed.models, changed.tiers) == ("laptop", None, ["free"])
    changed = accounts.change_key(key.id, {"limits": None, "expires": None, "tiers": None})
    assert changed is not None
    assert (changed.limits, changed.expires, changed.tiers) == (None, None, None)
    changed = accounts.change_key(key.id, {"limits": Limits(units_per_day=2)})
    assert changed is not None
    assert changed.limits == Limits(units_per_day=2)
    holder = accounts.find(key.secret)
    assert holder is not None
    assert holder.limits == Limits(units_per_day=2)
    assert accounts.change_key(key.id, {}) == changed
    assert accounts.change_key("key_none", {"name": "x"}) is None
    with pytest.raises(InvalidName):
        accounts.change_key(key.id, {"name": ""})
    revoked = accounts.revoke_key(key.id)
    with pytest.raises(KeyRevoked):
        accounts.change_key(key.id, {"name": "x"})
    assert accounts.key(key.id) == revoked


def test_a_key_that_has_ended_is_changed_no_more(accounts: Accounts, clock: Clock) -> None:
    key = accounts.add_key(accounts.create_account("ann", "free"), "ci", expires=2000)
    clock.now = 2000
    with pytest.raises(KeyExpired):
        accounts.change_key(key.id, {"expires": None})
    revoked = accounts.revoke_key(key.id)
    with pytest.raises(KeyRevoked):
        accounts.change_key(key.id, {"expires": None})
    assert accounts.key(key.id) == revoked


def test_a_key_makes_others_until_it_is_changed_or_ends(accounts: Accounts, clock: Clock) -> None:
    """Of what was looked at before, something may have changed since."""
    ann = accounts.create_account("ann", "free")
    limits = Limits(units_per_day=1)
    maker = accounts.key(accounts.add_key(ann, "a", models=["m"], tiers=["free"], limits=limits, expires=5000).id)
    assert maker is not None
    accounts.add_key(ann, "made", by=maker)
    accounts.change_key(maker.id, {"name": "renamed"})
    accounts.add_key(ann, "made", by=maker)
    narrowed = accounts.change_key(maker.id, {"models": []})
    assert narrowed is not None
    with pytest.raises(KeyTooNarrow, match="changed meanwhile"):
        accounts.add_key(ann, "not made", by=maker)
    clock.now = 5000
    with pytest.raises(InvalidKey):
        accounts.add_key(ann, "not made", by=narrowed)
    clock.now = 1000
    accounts.revoke_key(maker.id)
    with pytest.raises(InvalidKey):
        accounts.add_key(ann, "not made", by=narrowed)
    assert sorted(key.name for key in accounts.list_keys()) == ["made", "made", "renamed"]


def test_who_makes_a_key_waits_for_its_own_account_alone(postgres_url: str) -> None:
    """Not for what brings the tables up to date, nor for another account's."""
    database = Database(postgres_url)
    accounts = Accounts(database)
    accounts.migrate()
    ann, bob = accounts.create_account("ann", "free"), accounts.create_account("bob", "free")
    maker = accounts.add_key(ann, "first")
    bobs = sql.select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == bob.id)
    with database.alone(), database.holding(bobs):
        assert accounts.add_key(ann, "second", by=maker).id
    accounts.close()


def test_of_many_made_at_once_no_more_than_may_are(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accounts.MOST_VALID", 4)
    ann = accounts.create_account("ann", "free")
    maker = accounts.add_key(ann, "first")

    def make(_: int) -> bool:
        try:
            return bool(accounts.add_key(ann, "more", by=maker))
        except TooManyKeys:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(make, range(8))) == 3


def test_of_what_was_made_long_ago_only_valid_keys_count(
    accounts: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.accounts.MOST_NEW", 2)
    ann = accounts.create_account("ann", "free")
    maker = accounts.add_key(ann, "first")
    accounts.revoke_key(accounts.add_key(ann, "second", by=maker).id)
    with pytest.raises(TooManyKeys, match="2 API keys in the last 30 days"):
        accounts.add_key(ann, "third", by=maker)
    clock.now += NEW_DAYS * DAY
    accounts.add_key(ann, "third", by=maker)


def test_lists_come_in_pages(accounts: Accounts, clock: Clock) -> None:
    made = []
    for number in range(7):
        clock.now += number % 2  # some at the same time
        made.append(accounts.create_account(f"n{number}", "free"))
    pages: list[Account] = []
    while page := accounts.list_accounts(after=pages[-1].id if pages else None, limit=3):
        pages += page
    assert pages == sorted(made, key=lambda account: (account.created, account.id))
    with pytest.raises(InvalidRequest, match="should be the last_id of a page of this list, got 'acc_none'"):
        accounts.list_accounts(after="acc_none")
    for account in made[:2]:
        for _ in range(3):
            accounts.add_key(account, "k")
    mine = accounts.list_keys(account=made[0].id)
    assert {key.account for key in mine} == {made[0].id}
    assert accounts.list_keys(account=made[0].id, after=mine[0].id, limit=5) == mine[1:]
    assert accounts.list_keys(account=made[0].id, after=mine[-1].id) == []
    with pytest.raises(InvalidRequest):
        accounts.list_keys(account=made[1].id, after=mine[0].id)


def test_a_revoked_key_is_refused_and_still_listed(accounts: Accounts, clock: Clock) -> None:
    kept, gone = accounts.create_key("ann", "free"), accounts.create_key("bob", "free")
    clock.now = 2000
    revoked = accounts.revoke_key(gone.id)
    assert revoked is not None
    assert revoked.revoked == 2000
    clock.now = 3000
    assert accounts.revoke_key(gone.id) == revoked
    assert accounts.revoke_key("key_none") is None
    assert accounts.find(gone.secret) is None
    assert accounts.find(kept.secret) is not None
    assert {key.id: key.revoked for key in accounts.list_keys()} == {kept.id: None, gone.id: 2000}


def test_use_is_noted(accounts: Accounts, clock: Clock) -> None:
    used = [accounts.create_key("ann", "free").id for _ in range(2)]
    idle = accounts.create_key("bob", "free").id
    clock.now = 2000
    accounts.note_uses(set(used))
    assert {key.id: key.last_used for key in accounts.list_keys()} == dict.fromkeys(used, 2000) | {idle: None}


def test_a_key_is_found_while_another_process_writes(in_file: Accounts, tmp_path: Path) -> None:
    secret = in_file.create_key("ann", "free").secret
    in_file.find(secret)
    writer = sqlite3.connect(tmp_path / "folder" / "crofai.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert in_file.find(secret) is not None
    writer.close()


def test_another_process_sees_a_key_at_once(accounts: Accounts, database_url: str) -> None:
    secret = accounts.create_key("ann", "free").secret
    script = f"from shared.accounts import Accounts; print(Accounts({database_url!r}).find({secret!r}).tier)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (found.stdout, found.stderr) == ("free\n", "")


def test_a_database_without_tables_is_a_setup_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no such table"):
        Accounts(f"sqlite:///{tmp_path}/new.db").list_keys()
