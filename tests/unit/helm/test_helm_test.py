"""Whose key `helm test` asks with; tests/integration/test_chart.py runs it against a gateway."""

import importlib.util
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.chart import CHART, Object

SPEC = importlib.util.spec_from_file_location("stream", CHART / "files" / "stream.py")
assert SPEC and SPEC.loader
stream: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(stream)


class Admin:
    """A gateway's admin API, as far as accounts go."""

    def __init__(self, tiers: list[Object], accounts: list[Object]) -> None:
        self.tiers = tiers
        self.accounts = {each["id"]: each for each in accounts}

    def ask(self, url: str, body: Object | None = None, method: str | None = None) -> Object:
        parts = urlsplit(url)
        match parts.path.split("/")[3:]:
            case ["tiers"]:
                return {"data": self.tiers}
            case ["accounts"] if body is None:
                [name] = parse_qs(parts.query)["name"]
                return {"data": [each for each in self.accounts.values() if each["name"] == name]}
            case ["accounts"]:
                assert body is not None
                made = account(body["name"], body["tier"])
                return self.accounts.setdefault(made["id"], made)
            case ["accounts", one] if method == "PATCH":
                self.accounts[one] |= body or {}
                return self.accounts[one]
        raise AssertionError(url)


def tier(name: str, priority: int, models: list[str] | None = None) -> Object:
    return {"id": name, "priority": priority, "models": models}


def account(name: str, tier: str, suspended: float | None = None) -> Object:
    return {"id": f"acct_{name}", "name": name, "tier": tier, "suspended": suspended}


OURS = [tier("gold", 2), tier("closed", 1, ["qwen0.5"]), tier("none", 0, []), tier("free", 6)]


@pytest.mark.parametrize(
    "accounts, name",
    [
        ([], "helm-test"),
        ([account("helm-test", "gold")], "helm-test"),
        ([account("helm-test", "premium")], "helm-test"),  # a tier that is no more
        ([account("helm-test", "gold", 1.0)], "helm-test-2"),
        ([account("helm-test", "gold", 1.0), account("helm-test-2", "gold")], "helm-test-2"),
    ],
)
def test_it_asks_at_the_best_tier_that_has_the_model(
    monkeypatch: pytest.MonkeyPatch, accounts: list[Object], name: str
) -> None:
    admin = Admin(OURS, accounts)
    monkeypatch.setattr(stream, "ask", admin.ask)
    taken = admin.accounts[stream.an_account("http://gateway", "llama3")]
    assert (taken["name"], taken["tier"], taken["suspended"]) == (name, "gold", None)


def test_it_says_why_it_has_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ask", Admin([tier("closed", 1, ["qwen0.5"])], []).ask)
    with pytest.raises(ValueError, match="no tier has llama3"):
        stream.an_account("http://gateway", "llama3")
    monkeypatch.setattr(stream, "ask", Admin(OURS, [account(each, "gold", 1.0) for each in stream.NAMES]).ask)
    with pytest.raises(ValueError, match="suspended: resume one"):
        stream.an_account("http://gateway", "llama3")
