"""`crofai` while it is being loaded."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster import ROOT
from tests.terminal import CROFAI

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


@pytest.mark.parametrize("module", ["typer", "redis", "gateway.cli.usage"])
def test_ctrl_c_ends_it_without_a_word(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(CTRL_C_WHEN_LOADING.format(module=module))
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run([*CROFAI, "models"], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
