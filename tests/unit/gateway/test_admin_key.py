"""The first admin's key: made once, kept for its owner alone, or handed in."""

from pathlib import Path

import pytest

from gateway import admin_key
from shared.accounts import Accounts
from shared.admin_keys import AdminKeys
from shared.errors import SetupError
from shared.key_format import PREFIX
from shared.settings import Settings
from shared.sql import Database
from shared.tiers import load_tiers

TIERS = load_tiers(None, ())


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'crofai.db'}")
    database.migrate()
    return database


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def admins(database: Database) -> AdminKeys:
    return AdminKeys(database)


def test_it_is_made_once_and_readable_by_its_owner_alone(
    admins: AdminKeys, accounts: Accounts, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    for _ in range(2):
        admin_key.provide(admins, settings, TIERS)
    [file] = (tmp_path / "data").iterdir()
    assert file == admin_key.admin_key_file(settings.data_dir)
    assert file.stat().st_mode & 0o777 == 0o600
    holder = accounts.find(file.read_text().strip())
    assert holder is not None
    assert (holder.admin, holder.tier) == (True, "premium")


def test_a_key_that_is_no_longer_valid_is_followed_by_another(
    admins: AdminKeys, accounts: Accounts, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    admin_key.provide(admins, settings, TIERS)
    first = admin_key.admin_key_file(tmp_path).read_text()
    for key in accounts.list_keys():
        accounts.revoke_key(key.id, force=True)
    admin_key.provide(admins, settings, TIERS)
    second = admin_key.admin_key_file(tmp_path).read_text()
    assert first != second
    assert accounts.find(second.strip()) is not None


def test_it_is_told_where_it_is_and_not_what(
    admins: AdminKeys, accounts: Accounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    admin_key.provide(admins, Settings(data_dir=tmp_path), TIERS)
    assert str(tmp_path / "admin.key") in caplog.text
    assert PREFIX not in caplog.text


def test_one_that_cannot_be_kept_is_not_made(admins: AdminKeys, accounts: Accounts, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot be kept in .*Check CROFAI_DATA_DIR, or set CROFAI_ADMIN_KEY"):
        admin_key.provide(admins, Settings(data_dir=tmp_path / "file"), TIERS)
    assert accounts.list_keys() == []


def test_one_that_is_handed_in_is_adopted_and_shown_nowhere(
    admins: AdminKeys, accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = PREFIX + "s" * 40
    monkeypatch.setenv("CROFAI_ADMIN_KEY", secret)
    settings = Settings(data_dir=tmp_path)
    admin_key.provide(admins, settings, TIERS)
    holder = accounts.find(secret)
    assert holder is not None
    assert holder.admin
    assert not admin_key.admin_key_file(tmp_path).exists()
    assert secret not in repr(settings) + str(settings)


def test_a_file_with_a_key_that_is_revoked_is_told_while_another_is_valid(
    admins: AdminKeys, accounts: Accounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path)
    admin_key.provide(admins, settings, TIERS)
    file = admin_key.admin_key_file(tmp_path)
    kept = file.read_text()
    [first] = accounts.list_keys()
    other = accounts.add_key(accounts.create_account("ann", "free"), "ann", admin=True)
    admin_key.provide(admins, settings, TIERS)
    assert caplog.text == ""
    accounts.revoke_key(first.id)
    admin_key.provide(admins, settings, TIERS)
    assert f"the key in {file} is no admin's key that is valid" in caplog.text
    assert "CROFAI_ADMIN_KEY" in caplog.text
    assert file.read_text() == kept
    assert not admin_key.is_valid(admins, file)
    file.write_text(other.secret + "\n")
    assert admin_key.is_valid(admins, file)
