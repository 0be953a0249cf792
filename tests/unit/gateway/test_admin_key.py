"""The first admin's key: made once, kept for its owner alone, or handed in."""

from pathlib import Path

import pytest

from gateway import admin_key
from shared.accounts import PREFIX, Accounts
from shared.errors import SetupError
from shared.settings import Settings
from shared.tiers import load_tiers

TIERS = load_tiers(None, ())


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    accounts = Accounts(f"sqlite:///{tmp_path / 'crofai.db'}")
    accounts.migrate()
    return accounts


def test_it_is_made_once_and_readable_by_its_owner_alone(accounts: Accounts, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    for _ in range(2):
        admin_key.provide(accounts, settings, TIERS)
    [file] = (tmp_path / "data").iterdir()
    assert file == admin_key.admin_key_file(settings.data_dir)
    assert file.stat().st_mode & 0o777 == 0o600
    holder = accounts.find(file.read_text().strip())
    assert holder is not None
    assert (holder.admin, holder.tier) == (True, "premium")


def test_a_key_that_is_no_longer_valid_is_followed_by_another(accounts: Accounts, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    admin_key.provide(accounts, settings, TIERS)
    first = admin_key.admin_key_file(tmp_path).read_text()
    for key in accounts.list_keys():
        accounts.revoke_key(key.id)
    admin_key.provide(accounts, settings, TIERS)
    second = admin_key.admin_key_file(tmp_path).read_text()
    assert first != second
    assert accounts.find(second.strip()) is not None


def test_it_is_told_where_it_is_and_not_what(
    accounts: Accounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    admin_key.provide(accounts, Settings(data_dir=tmp_path), TIERS)
    assert str(tmp_path / "admin.key") in caplog.text
    assert PREFIX not in caplog.text


def test_one_that_cannot_be_kept_is_not_made(accounts: Accounts, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot be kept in .*Check CROFAI_DATA_DIR, or set CROFAI_ADMIN_KEY"):
        admin_key.provide(accounts, Settings(data_dir=tmp_path / "file"), TIERS)
    assert accounts.list_keys() == []


def test_one_that_is_handed_in_is_adopted_and_shown_nowhere(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = PREFIX + "s" * 40
    monkeypatch.setenv("CROFAI_ADMIN_KEY", secret)
    settings = Settings(data_dir=tmp_path)
    admin_key.provide(accounts, settings, TIERS)
    holder = accounts.find(secret)
    assert holder is not None
    assert holder.admin
    assert not admin_key.admin_key_file(tmp_path).exists()
    assert secret not in repr(settings) + str(settings)
