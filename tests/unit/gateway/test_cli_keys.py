"""`crofai keys`, and what all commands share: exit statuses, and errors of one line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from shared.accounts import PREFIX, Accounts

runner = CliRunner()


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROFAI_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CROFAI_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def accounts(data_dir: Path) -> Accounts:
    return Accounts(f"sqlite:///{data_dir / 'crofai.db'}")


def keys(*arguments: str) -> Result:
    return runner.invoke(app, ["keys", *arguments])


def test_create_prints_the_key_alone_on_stdout(accounts: Accounts) -> None:
    result = keys("create", "ann", "--tier", "premium")
    assert result.exit_code == 0
    assert result.stdout.startswith(PREFIX)
    assert len(result.stdout.splitlines()) == 1
    assert result.stdout.strip() not in result.stderr
    holder = accounts.find(result.stdout.strip())
    assert holder is not None
    assert holder.tier == "premium"


def test_keys_are_free_unless_said_otherwise(accounts: Accounts) -> None:
    secret = keys("create", "ann").stdout.strip()
    holder = accounts.find(secret)
    assert holder is not None
    assert holder.tier == "free"


@pytest.mark.parametrize("name", ["", "  ", "ann\n", "\033[2J", "x" * 101])
def test_a_name_that_shows_nothing_is_refused(name: str) -> None:
    result = keys("create", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("crofai: a name should be 1 to 100 printable characters, got ")
    assert len(result.stderr) < 100


def test_list_shows_no_secret(accounts: Accounts) -> None:
    secret = keys("create", "ann").stdout.strip()
    as_json = keys("list", "--json").stdout
    assert [(key["name"], key["tier"], key["revoked"]) for key in json.loads(as_json)] == [("ann", "free", None)]
    assert secret not in as_json + keys("list").stdout
    assert "hash" not in as_json


def test_list_shows_ids_in_full(accounts: Accounts) -> None:
    keys("create", "a rather long name for a [red]key[/red]")
    listed = keys("list").stdout
    assert accounts.list_keys()[0].id in listed
    assert "a rather long name for a [red]key[/red]" in listed
    assert len(listed.splitlines()) == 2


def test_keys_alone_lists(accounts: Accounts) -> None:
    keys("create", "ann")
    assert keys().exit_code == 0
    assert keys().stdout == keys("list").stdout
    assert "ann" in keys().stdout


def test_revoke_takes_an_id(accounts: Accounts) -> None:
    secret = keys("create", "ann").stdout.strip()
    key_id = accounts.list_keys()[0].id
    assert keys("revoke", key_id).exit_code == 0
    assert accounts.find(secret) is None


def test_revoking_nothing_fails_and_says_what_to_try() -> None:
    result = keys("revoke", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "crofai: there is no valid key 'nobody'. Try: crofai keys list\n"


def test_a_bad_database_is_one_line_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_DATABASE_URL", "nonsense")
    result = keys("list")
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: CROFAI_DATABASE_URL")
    assert result.stderr.count("\n") == 1


def test_a_bad_setting_is_one_line_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_PORT", "many")
    result = keys("list")
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: CROFAI_PORT='many'")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["create"], ["create", "ann", "--tier", "gold"], ["nope"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert keys(*arguments).exit_code == 2
