"""`crofai accounts`, `tiers` and `usage`."""

import csv
import io
import json
import re
import time
from functools import partial
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway.admin_key import admin_key_file
from gateway.app import Gateway, create_gateway
from gateway.cli import api
from gateway.cli.main import app
from shared.accounts import Accounts
from shared.ledger import Ledger
from shared.settings import Settings
from tests.factories import make_usage

runner = CliRunner()


@pytest.fixture
def accounts(data_dir: Path) -> Accounts:
    return Accounts(f"sqlite:///{data_dir / 'crofai.db'}")


def crofai(*arguments: str) -> Result:
    return runner.invoke(app, list(arguments))


@pytest.mark.usefixtures("gateway")
class TestAccounts:
    def test_create_prints_the_id_alone(self, accounts: Accounts) -> None:
        made = crofai("accounts", "create", "ann", "--tier", "premium")
        assert (made.exit_code, made.stderr) == (0, "")
        ann = accounts.account(made.stdout.strip())
        assert ann is not None
        assert (ann.name, ann.tier) == ("ann", "premium")
        again = crofai("accounts", "create", "ann")
        assert (again.exit_code, again.stdout) == (1, "")
        assert again.stderr == "crofai: there is an account 'ann' already (name_taken)\n"

    def test_the_tier_is_changed_by_name_or_id(self, accounts: Accounts) -> None:
        ann = accounts.create_account("ann", "free")
        for who, tier in (("ann", "premium"), (ann.id, "free")):
            assert crofai("accounts", "set", who, "--tier", tier).exit_code == 0
            changed = accounts.account(ann.id)
            assert changed is not None
            assert changed.tier == tier

    def test_an_account_is_suspended_and_resumed(self, accounts: Accounts) -> None:
        secret = accounts.create_key("ann", "free").secret
        for command, suspended in (("suspend", True), ("resume", False)):
            assert crofai("accounts", command, "ann").exit_code == 0
            holder = accounts.find(secret)
            assert holder is not None
            assert holder.suspended == suspended

    def test_list_and_show(self, accounts: Accounts) -> None:
        key = accounts.create_key("[b]ann", "free")
        listed = json.loads(crofai("accounts", "list", "--json").stdout)
        assert [account["name"] for account in listed] == ["admin", "[b]ann"]
        assert "[b]ann" in crofai("accounts").stdout
        shown = json.loads(crofai("accounts", "show", "[b]ann").stdout)
        assert (shown["id"], [each["id"] for each in shown["keys"]]) == (key.account, [key.id])

    @pytest.mark.parametrize("who", ["nobody", "acc_nobody", "", "a/../b"])
    def test_who_is_not_there_is_said_in_a_line(self, who: str) -> None:
        result = crofai("accounts", "suspend", who)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no account" in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("gateway")
def test_tiers_are_listed() -> None:
    lines = crofai("tiers").stdout.splitlines()
    assert lines[0].split() == ["tier", "premium", "free"]
    shown = {" ".join(line.split()[:-2]): line.split()[-2:] for line in lines if line}
    assert shown["reserved"] == ["0%", "10%"]
    assert shown["images/day"] == ["5,000", "500"]
    told = json.loads(crofai("tiers", "--json").stdout)
    assert told[0]["id"] == "premium"
    fields = (told[0].keys() - {"object", "id", "limits"}) | told[0]["limits"].keys()
    assert all(field.replace("_per_", "/").replace("_", " ") in "\n".join(lines) for field in fields)


def test_all_that_a_tier_has_is_shown(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gold = "priority: 1, weight: 5, image_size: 512x768, longest_wait: 2.5, most_waiting: 7"
    file = data_dir / "tiers.yaml"
    file.write_text(
        f"tiers: {{gold: {{description: '[b]Ours', {gold}, models: [llama3, qwen0.5]}}, free: {{models: []}}}}"
    )
    serve(data_dir, monkeypatch, file)
    lines = crofai("tiers").stdout.splitlines()
    assert lines[0].split() == ["tier", "gold", "premium", "free"]
    rows = [re.split(" {2,}", line.strip()) for line in lines]
    shown = {name: values for name, *values in rows}
    assert shown["models"] == ["llama3", "all", "none"]
    assert rows[[row[0] for row in rows].index("models") + 1] == ["qwen0.5"]
    assert (shown["weight"], shown["image size"]) == (["5", "1", "1"], ["512x768", "-", "-"])
    assert (shown["longest wait"], shown["most waiting"]) == (["2.5 s", "-", "-"], ["7", "1,000", "1,000"])
    assert shown["gold"] == ["[b]Ours"]


class TestTiersThatAreGone:
    @pytest.fixture(autouse=True)
    def gone(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        accounts = Accounts(f"sqlite:///{data_dir / 'crofai.db'}")
        accounts.migrate()
        self.ann = accounts.create_account("ann", "free")
        file = data_dir / "tiers.yaml"
        file.write_text("tiers: {free: null}")
        serve(data_dir, monkeypatch, file)
        self.log = caplog.text

    def test_the_gateway_says_so_at_its_start(self) -> None:
        assert "there is no tier 'free' any more, but accounts of it: 1, such as 'ann'." in self.log
        assert "crofai accounts set 'ann' --tier, and one of premium" in self.log

    def test_the_list_of_accounts_says_so(self) -> None:
        listed = crofai("accounts")
        assert "free (gone)" in listed.stdout
        assert "premium (gone)" not in listed.stdout
        assert "crofai accounts set NAME --tier, and one of premium" in listed.stderr

    def test_no_useless_key_is_made(self, accounts: Accounts) -> None:
        made = crofai("keys", "create", "ann")
        assert (made.exit_code, made.stdout) == (1, "")
        assert "'free', is gone" in made.stderr
        assert "crofai accounts set 'ann' --tier, and one of premium" in made.stderr
        assert crofai("keys", "create", "ann", "--admin").exit_code == 0
        assert crofai("accounts", "set", "ann", "--tier", "premium").exit_code == 0
        assert crofai("keys", "create", "ann").exit_code == 0

    @pytest.mark.parametrize("command", ["keys", "accounts"])
    def test_a_new_account_has_no_usual_tier(self, command: str) -> None:
        made = crofai(command, "create", "bob")
        assert (made.exit_code, made.stdout) == (1, "")
        assert made.stderr == "crofai: there is no tier 'free' here: add --tier and one of premium\n"
        assert crofai(command, "create", "bob", "--tier", "premium").exit_code == 0


def serve(data_dir: Path, monkeypatch: pytest.MonkeyPatch, tiers: Path) -> None:
    """Have a gateway with these tiers answer the commands."""
    served = create_gateway(Settings(data_dir=data_dir, tiers_file=tiers)).app
    monkeypatch.setattr(api.httpx, "Client", partial(httpx.Client, transport=httpx.WSGITransport(served)))


class TestUsage:
    @pytest.fixture(autouse=True)
    def used(self, gateway: Gateway, data_dir: Path, accounts: Accounts) -> None:
        self.ann = accounts.create_key("ann", "free")
        now = time.time()
        Ledger(f"sqlite:///{data_dir / 'crofai.db'}").record(
            [
                make_usage(
                    f"job_{number}",
                    account=account,
                    model="llama3",
                    prompt_tokens=1000,
                    completion_tokens=200,
                    units=1200,
                    created=now,
                    ended=now,
                )
                for number, account in enumerate([self.ann.account, self.ann.account, "acc_other"])
            ]
        )

    def test_of_all_accounts(self) -> None:
        told = crofai("usage", "--by", "model").stdout
        assert (
            told.split()
            == (
                "model requests prompt tokens completion tokens image steps images units "
                "llama3 3 3,000 600 0 0 3,600"
            ).split()
        )

    def test_of_one_account_as_json(self) -> None:
        [row] = json.loads(crofai("usage", "--account", "ann", "--by", "account,day", "--json").stdout)
        assert (row["account"], row["requests"], row["units"]) == (self.ann.account, 2, 2400)
        assert row["day"] == time.strftime("%Y-%m-%d", time.gmtime())

    def test_accounts_and_keys_are_told_by_name(self, data_dir: Path) -> None:
        own = make_usage(
            "job_9", account=self.ann.account, key=self.ann.id, created=time.time(), ended=time.time()
        )
        Ledger(f"sqlite:///{data_dir / 'crofai.db'}").record([own])
        told = crofai("usage", "--by", "account").stdout
        assert {line.split()[0] for line in told.splitlines()[1:]} == {"acc_other", "ann", "total"}
        assert told.splitlines()[-1].split()[:2] == ["total", "4"]
        told = crofai("usage", "--by", "key", "--account", "ann").stdout
        assert {line.split("  ")[0] for line in told.splitlines()[1:]} == {
            "key_1",
            f"ann ({self.ann.id})",
            "total",
        }

    def test_as_csv(self) -> None:
        rows = list(csv.DictReader(io.StringIO(crofai("usage", "--by", "account", "--csv").stdout)))
        assert {row["account"]: row["units"] for row in rows} == {self.ann.account: "2400", "acc_other": "1200"}

    def test_of_ones_own_key(self) -> None:
        [row] = json.loads(crofai("usage", "--key", self.ann.secret, "--by", "model", "--json").stdout)
        assert row["requests"] == 2

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--by", "week"], "by: should be some of day, model, key, account"),
            (["--from", "yesterday"], "from: should be a day of UTC, such as 2026-01-31"),
            (["--from", "2026-02-01", "--to", "2026-01-01"], "from: should be a day up to 2026-01-01"),
            (["--json", "--csv"], "give --json or --csv, not both"),
            (["--account", "nobody"], "there is no account 'nobody'"),
        ],
    )
    def test_mistakes(self, arguments: list[str], words: str) -> None:
        result = crofai("usage", *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert words in result.stderr

    def test_nothing_is_shown_of_nothing(self) -> None:
        shown = crofai("usage", "--from", "2020-01-01", "--to", "2020-01-02")
        assert shown.exit_code == 0
        assert "requests" in shown.stdout
        assert shown.stderr == "Nothing was used from 2020-01-01 to 2020-01-02.\n"

    def test_days_may_be_counted_back(self) -> None:
        assert "3,600" in crofai("usage", "--by", "model", "--from", "7d").stdout
        assert "2026" not in crofai("usage", "--from", "9d", "--to", "2d").stdout

    def test_who_is_no_admin_sees_what_is_their_own(self, data_dir: Path) -> None:
        admin_key_file(data_dir).unlink()
        (data_dir / "demo.key").write_text(self.ann.secret)
        [row] = json.loads(crofai("usage", "--by", "model", "--json").stdout)
        assert row["requests"] == 2
        (data_dir / "demo.key").unlink()
        result = crofai("usage")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "--key or CROFAI_KEY" in result.stderr


def test_a_server_that_is_not_there_is_said_in_a_line(data_dir: Path) -> None:
    admin_key_file(data_dir).write_text("sk-crof-x\n")
    for command in ("accounts", "keys", "tiers", "usage"):
        result = runner.invoke(
            app, [command, *(["list"] if command in ("accounts", "keys") else []), "--url", DOWN]
        )
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr == f"crofai: no server answers at {DOWN}. Start one with: crofai up\n"


DOWN = "http://127.0.0.1:9"
