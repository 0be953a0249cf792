"""`crofai keys`, and what all commands share: exit statuses, and errors of one line."""

import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.admin_key import admin_key_file
from gateway.cli.main import app
from shared.accounts import Accounts
from shared.key_format import PREFIX
from shared.tiers import Limits

runner = CliRunner()

pytestmark = pytest.mark.usefixtures("gateway")


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


def test_accounts_are_free_unless_said_otherwise(accounts: Accounts) -> None:
    secret = keys("create", "ann").stdout.strip()
    holder = accounts.find(secret)
    assert holder is not None
    assert holder.tier == "free"


def test_a_key_for_an_account_that_is_there_is_of_its_tier(accounts: Accounts) -> None:
    account = accounts.create_account("ann", "premium")
    holder = accounts.find(keys("create", "ann").stdout.strip())
    assert holder is not None
    assert (holder.account, holder.tier) == (account.id, "premium")
    result = keys("create", "ann", "--tier", "free")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "crofai: the account 'ann' is of the tier 'premium', not 'free'. "
        "Change it with: crofai accounts set 'ann' --tier free\n"
    )


def test_a_key_may_be_bound(accounts: Accounts) -> None:
    options = ["--model", "llama3-8b", "--model", "qwen0.5", "--only", "free", "--expires", "30d", "--name", "ci"]
    result = keys("create", "ann", *options, "--limit", "requests_per_minute=10", "--limit", "units_per_day=5")
    holder = accounts.find(result.stdout.strip())
    assert holder is not None
    assert (holder.models, holder.tiers) == (frozenset({"llama3", "qwen0.5"}), frozenset({"free"}))
    assert holder.limits == Limits(requests_per_minute=10, units_per_day=5)
    assert holder.expires is not None
    assert abs(holder.expires - time.time() - 30 * 86_400) < 60
    assert f"key for ann, until {datetime.fromtimestamp(holder.expires):%Y-%m-%d %H:%M}" in result.stderr
    assert "models llama3,qwen0.5; tiers free; requests_per_minute=10; units_per_day=5" in keys().stdout


def test_a_key_is_changed_and_its_bounds_taken_back(accounts: Accounts) -> None:
    keys("create", "ann", "--model", "llama3", "--expires", "2999-12-31")
    key = next(key for key in accounts.list_keys() if not key.admin)
    assert keys("set", key.id, "--expires", "2998-12-31").stderr.endswith(", until 2998-12-31 00:00:00\n")
    assert "until" not in keys("set", key.id, "--name", "ci", "--expires", "never").stderr
    changed = accounts.key(key.id)
    assert changed is not None
    assert (changed.name, changed.models, changed.expires) == ("ci", ["llama3"], None)
    assert keys("set", key.id, "--unbound", "--limit", "units_per_day=5").exit_code == 0
    changed = accounts.key(key.id)
    assert changed is not None
    assert (changed.name, changed.models, changed.limits) == ("ci", None, Limits(units_per_day=5))


@pytest.mark.parametrize("name", ["", "  ", "ann\n", "\033[2J", "x" * 101])
def test_a_name_that_shows_nothing_is_refused(accounts: Accounts, name: str) -> None:
    result = keys("create", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("crofai: name: ")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 200
    assert [account.name for account in accounts.list_accounts()] == ["admin"]


def test_list_shows_no_secret() -> None:
    secret = keys("create", "ann").stdout.strip()
    as_json = keys("list", "--json").stdout
    told = [(key["name"], key["tier"], key["revoked"]) for key in json.loads(as_json) if not key["admin"]]
    assert told == [("ann", "free", None)]
    assert secret not in as_json + keys("list").stdout
    assert "hash" not in as_json
    assert keys("list", "--account", "ann").stdout.count("key_") == 1


def test_list_shows_ids_in_full(accounts: Accounts) -> None:
    keys("create", "a rather long name for a [red]key[/red]")
    listed = keys("list").stdout
    assert all(key.id in listed for key in accounts.list_keys())
    assert "a rather long name for a [red]key[/red]" in listed
    assert len(listed.splitlines()) == 3


def test_keys_alone_lists() -> None:
    keys("create", "ann")
    assert keys().exit_code == 0
    assert keys().stdout == keys("list").stdout
    assert "ann" in keys().stdout


def test_revoke_takes_an_id_or_a_name(accounts: Accounts) -> None:
    secrets = [keys("create", name).stdout.strip() for name in ("ann", "bob", "bob")]
    [ann] = [key.id for key in accounts.list_keys() if key.name == "ann"]
    assert keys("revoke", ann).stderr == f"revoked: {ann}\n"
    assert [accounts.find(secret) is None for secret in secrets] == [True, False, False]
    assert keys("revoke", "bob").stderr.count("revoked: key_") == 2
    assert [accounts.find(secret) is None for secret in secrets] == [True, True, True]


def test_the_last_admins_key_is_revoked_by_force_alone(accounts: Accounts, data_dir: Path) -> None:
    [own] = [key.id for key in accounts.list_keys()]
    for refused in (keys("revoke", own), keys("set", own, "--expires", "30d")):
        assert refused.exit_code == 1
        assert refused.stderr == (
            "crofai: no other admin's key is valid, and stays so. Make one first, with: "
            "crofai keys create NAME --admin. Or add --force\n"
        )
    assert keys("revoke", own, "--force").stderr == (
        f"revoked: {own}\nIf no admin's key is left, restart the gateway: it makes one.\n"
    )
    [key] = accounts.list_keys()
    assert key.revoked is not None


def test_a_key_that_is_no_longer_taken_is_told_with_its_place(
    accounts: Accounts, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [own] = [key.id for key in accounts.list_keys()]
    accounts.revoke_key(own, force=True)
    said = keys().stderr
    assert f"It is the one in {admin_key_file(data_dir)}. Set CROFAI_ADMIN_KEY to a valid one" in said
    assert "restart the gateway" in said
    monkeypatch.setenv("CROFAI_ADMIN_KEY", "sk-crof-wrong")
    assert "It is the one in CROFAI_ADMIN_KEY." in keys().stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["revoke", "nobody"], "there is no valid key 'nobody'. Try: crofai keys list"),
        (["create", "ann", "--tier", "gold"], 'unknown tier "gold": the tiers are'),
        (["create", "ann", "--model", "lama3"], "did you mean 'llama3'"),
        (["create", "ann", "--only", "premium"], "should be one that the account's tier, 'free', may use"),
        (["create", "ann", "--limit", "requests"], "--limit requests: should be a limit's name and a number"),
        (["create", "ann", "--limit", "requests_per_day=-1"], "=-1: should be a whole number above 0"),
        (["create", "ann", "--limit", "requests_per_day=0"], "=0: should be a whole number above 0"),
        (["create", "ann", "--limit", "requests_per_day=" + "9" * 5000], "of at most 15 digits"),
        (
            ["create", "ann", "--expires", "1s"],
            "--expires 1s: should be minutes, hours or days from now on (30m, 12h, 30d)",
        ),
        (["create", "ann", "--expires", "0001-01-01"], "expires 0001-01-01: should be minutes"),
        (["create", "ann", "--expires", "9999-12-31"], "--expires 9999-12-31: should be no later than 5138-11-16"),
        (["create", "ann", "--limit", "x=1"], "limits.x: unknown field; known fields: requests_per_minute, "),
        (["create", "ann", "--expires", "soon"], "--expires soon: should be minutes, hours or days"),
        (["create", "ann", "--expires", "2020-01-01"], "--expires 2020-01-01: should be in the future"),
        (["set", "ann", "--name", "x"], "'ann' is no key's id, such as key_0123456789abcdef"),
        (["set", "key_0"], "nothing to change was given"),
        (["set", "key_0", "--name", "x"], "There is no key of this id."),
        (["list", "--account", "nobody"], "there is no account 'nobody'. Try: crofai accounts list"),
    ],
)
def test_failures_are_one_line_that_says_what_to_do(arguments: list[str], words: str) -> None:
    result = keys(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr
    assert result.stderr.startswith("crofai: ")
    assert result.stderr.count("\n") == 1


def test_the_key_is_that_of_the_variable_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_ADMIN_KEY", "sk-crof-wrong")
    result = keys()
    assert result.exit_code == 1
    assert "unknown, revoked or has expired. (invalid_key)" in result.stderr


def test_without_a_key_it_is_said_where_it_is_kept(data_dir: Path) -> None:
    file = admin_key_file(data_dir)
    file.unlink()
    result = keys()
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: no admin key: set CROFAI_ADMIN_KEY.")
    assert str(file) in result.stderr


def test_a_bad_setting_is_one_line_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_PORT", "many")
    result = keys("list")
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: CROFAI_PORT='many'")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["create"], ["create", "ann", "--teir", "free"], ["nope"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert keys(*arguments).exit_code == 2
