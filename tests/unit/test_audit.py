"""`make audit`: what fails it, and what it says where nothing can be looked up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import audit  # noqa: E402

FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}


def answering(monkeypatch: pytest.MonkeyPatch, packages: list[dict[str, Any]], noise: str = "") -> None:
    """Have pip-audit say this."""
    said = noise or json.dumps({"dependencies": packages, "fixes": []})
    done = subprocess.CompletedProcess([], 1, stdout=said.encode())
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: done)


def known(count: int, **first: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": f"p{n}", "version": "2.0", "vulns": []} for n in range(count)]
    return [found[0] | first, *found[1:]]


def test_a_vulnerability_fails_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, known(audit.wanted(), vulns=[FLAW]))
    assert audit.main() == 1
    assert capsys.readouterr().err == "audit: p0 2.0: PYSEC-2026-1, without it: 2.1\n"


def test_even_if_it_is_all_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, known(1, vulns=[FLAW]))
    assert audit.main() == 1


def test_nothing_found_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, known(audit.wanted()))
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith("audit: no known vulnerability in ")


@pytest.mark.parametrize("noise", ["", "Traceback", "[]", "{}"])
def test_nothing_known_is_not_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], noise: str
) -> None:
    """pip-audit ends well if its database knows none of the packages."""
    skipped = [{"name": f"p{n}", "skip_reason": "not found"} for n in range(audit.wanted())]
    answering(monkeypatch, skipped, noise)
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith("audit: NOT DONE: the database knew 0 of ")


def test_it_ends_in_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def wait(*_: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("pip-audit", options["timeout"])

    monkeypatch.setattr(audit.subprocess, "run", wait)
    assert audit.main() == 0
    assert "NOT DONE" in capsys.readouterr().out


def test_every_package_is_counted() -> None:
    lines = audit.REQUIREMENTS.read_text().splitlines()
    assert audit.wanted() == sum(not line.startswith("#") for line in lines if line)
