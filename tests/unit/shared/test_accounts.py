"""Accounts: keys are made, found, listed, revoked; several threads and processes share one file."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.accounts import PREFIX, Accounts, Holder
from shared.errors import InvalidName, SetupError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'crofai.db'}"


@pytest.fixture
def accounts(url: str, clock: Clock) -> Accounts:
    accounts = Accounts(url, clock)
    accounts.create_tables()
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


def test_the_secret_is_nowhere_in_the_database(accounts: Accounts, tmp_path: Path) -> None:
    secret = accounts.create_key("ann", "free").secret
    stored = b"".join(file.read_bytes() for file in (tmp_path / "folder").iterdir())
    assert b"ann" in stored
    assert secret.encode() not in stored
    assert secret.removeprefix(PREFIX).encode() not in stored


def test_keys_of_one_name_belong_to_one_account(accounts: Accounts) -> None:
    first, second = accounts.create_key("ann", "free"), accounts.create_key("ann", "premium")
    assert first.account == second.account
    assert accounts.create_key("bob", "free").account != first.account


def test_a_revoked_key_is_refused_and_still_listed(accounts: Accounts, clock: Clock) -> None:
    kept, gone = accounts.create_key("ann", "free"), accounts.create_key("bob", "free")
    clock.now = 2000
    assert accounts.revoke_key(gone.id) == [gone.id]
    assert accounts.find(gone.secret) is None
    assert accounts.find(kept.secret) is not None
    assert {key.id: key.revoked for key in accounts.list_keys()} == {kept.id: None, gone.id: 2000}


def test_revoking_a_name_revokes_all_its_keys_once(accounts: Accounts) -> None:
    ids = {accounts.create_key("ann", "free").id for _ in range(2)}
    assert set(accounts.revoke_key("ann")) == ids
    assert accounts.revoke_key("ann") == []
    assert accounts.revoke_key("nobody") == []


def test_use_is_noted(accounts: Accounts, clock: Clock) -> None:
    used = [accounts.create_key("ann", "free").id for _ in range(2)]
    idle = accounts.create_key("bob", "free").id
    clock.now = 2000
    accounts.note_uses(set(used))
    assert {key.id: key.last_used for key in accounts.list_keys()} == dict.fromkeys(used, 2000) | {idle: None}


def test_a_key_is_found_while_another_process_writes(accounts: Accounts, tmp_path: Path) -> None:
    secret = accounts.create_key("ann", "free").secret
    accounts.find(secret)
    writer = sqlite3.connect(tmp_path / "folder" / "crofai.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert accounts.find(secret) is not None
    writer.close()


def test_threads_that_open_an_empty_database_together_agree(url: str) -> None:
    def work(_: int) -> str:
        accounts = Accounts(url)
        accounts.create_tables()
        return accounts.create_key("ann", "free").account

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(8)))) == 1


def test_another_process_sees_a_key_at_once(accounts: Accounts, url: str) -> None:
    secret = accounts.create_key("ann", "free").secret
    script = f"from shared.accounts import Accounts; print(Accounts({url!r}).find({secret!r}).tier)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (found.stdout, found.stderr) == ("free\n", "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("oracle+nope://u:secret@h/d", "not a database URL"),
        ("postgresql+psycopg://u:secret@127.0.0.1/d", "needs a Python driver"),
        ("sqlite:////proc/none/crofai.db", "CROFAI_DATA_DIR"),
    ],
)
def test_a_bad_url_is_said_in_one_line(url: str, words: str) -> None:
    with pytest.raises(SetupError) as caught:
        Accounts(url).create_tables()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_without_tables_is_a_setup_error(url: str) -> None:
    with pytest.raises(SetupError, match="no such table"):
        Accounts(url).list_keys()
