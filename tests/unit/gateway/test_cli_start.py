"""`crofai` while it is being loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import COMMANDS, app
from tests.cluster import ROOT
from tests.terminal import CROFAI

runner = CliRunner()

CTRL_C_WHEN_LOADING = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("module", ["typer", "pydantic", "gateway.cli.models"])
def test_ctrl_c_ends_it_without_a_word(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(CTRL_C_WHEN_LOADING.format(module=module))
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run([*CROFAI, "models"], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


LOADED = """
import atexit, pathlib, sys

atexit.register(lambda: pathlib.Path({file!r}).write_text("\\n".join(sys.modules)))
"""
SERVERS = set("alembic celery flask gevent kombu opentelemetry prometheus_client psycopg redis sqlalchemy".split())
NOBODY = {"CROFAI_URL": "http://127.0.0.1:9", "CROFAI_KEY": "sk-crof-x", "CROFAI_ADMIN_KEY": "sk-crof-y"}
COMPLETES = {"_CROFAI_COMPLETE": "complete_bash", "COMP_WORDS": "crofai\nchat\n--model\ns", "COMP_CWORD": "3"}


def loaded(folder: Path, command: str, status: int = 0, **more: str) -> set[str]:
    """The packages that this command has loaded when it ends."""
    (folder / "sitecustomize.py").write_text(LOADED.format(file=str(file := folder / "loaded")))
    (program := folder / "crofai").write_text("from gateway.cli.__main__ import main\n\nmain()\n")
    env = os.environ | NOBODY | more | {"PYTHONPATH": f"{folder}:{ROOT}", "CROFAI_DATA_DIR": str(folder)}
    asked = [sys.executable, str(program), *command.split()]
    done = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return {name.partition(".")[0] for name in file.read_text().split()}


@pytest.mark.parametrize(
    "command", ["chat hi", "image cat", "models", "top", "usage", "accounts", "keys", "tiers"]
)
def test_a_client_loads_nothing_of_a_server(tmp_path: Path, command: str) -> None:
    asked = loaded(tmp_path, command, status=3)
    assert "httpx" in asked
    assert not asked & SERVERS
    assert not loaded(tmp_path, f"{command.split()[0]} --help") & SERVERS


def test_help_loads_no_command(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "--help") & (SERVERS | {"httpx", "pydantic"})


def test_completion_loads_what_the_command_does(tmp_path: Path) -> None:
    asked = loaded(tmp_path, "", **COMPLETES)
    assert "httpx" in asked
    assert not asked & SERVERS


def test_who_needs_a_servers_libraries_has_them(tmp_path: Path) -> None:
    assert loaded(tmp_path, "jobs --help") >= {"celery", "kombu", "redis"}
    assert "sqlalchemy" in loaded(tmp_path, "database --help")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_their_help_does(command: str) -> None:
    result = runner.invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    told = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert told[1] == COMMANDS[command].words
