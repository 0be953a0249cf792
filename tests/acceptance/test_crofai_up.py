"""`crofai up`, as a user runs it: the command it prints works, and Ctrl-C leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster import ROOT, wait_for

pytestmark = pytest.mark.acceptance


def test_crofai_up(tmp_path: Path) -> None:
    options = ["--engine", "simulated", "--model", "llama3", "--port", "0"]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as stdout, err.open("w") as stderr:
        up = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "up", *options],
            stdout=stdout,
            stderr=stderr,
            env=environment(tmp_path),
            cwd=ROOT,
            start_new_session=True,  # a process group of its own, as a shell gives it
        )
    family = []
    try:
        wait_for(lambda: "Ctrl-C stops it" in out.read_text() or up.poll() is not None, 60, "crofai up")
        assert up.poll() is None, err.read_text()
        family = psutil.Process(up.pid).children(recursive=True)
        assert len(family) >= 3  # Valkey, the gateway and the worker
        check_printed_command(out.read_text())
        os.killpg(up.pid, signal.SIGINT)  # to the whole group, as a terminal sends Ctrl-C
        assert up.wait(30) in (0, 130), err.read_text()
        assert [process for process in family if process.is_running()] == []
        assert working_on(tmp_path) == []
    finally:
        for process in (*family, *working_on(tmp_path)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        up.wait(10)


def check_printed_command(said: str) -> None:
    """Run the curl line as a user would paste it."""
    printed = re.search(r"^ *(curl (?:.*\\\n)*.*)$", said, re.MULTILINE)
    assert printed, said
    done = subprocess.run(["bash", "-c", printed[1]], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    *chunks, end = [line for line in done.stdout.splitlines() if line]
    assert end == "data: [DONE]"
    texts = [
        choice["delta"].get("content", "")
        for chunk in chunks
        for choice in json.loads(chunk.removeprefix("data: "))["choices"]
    ]
    assert len("".join(texts).split()) > 10


def environment(folder: Path) -> dict[str, str]:
    """The user's, with a data folder of its own."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("CROFAI_")}
    return mine | {"CROFAI_DATA_DIR": str(folder / "data")}


def working_on(folder: Path) -> list[psutil.Process]:
    """All processes with this data folder in their environment, whoever their parents and groups are."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("CROFAI_DATA_DIR") == str(folder / "data"):
                found.append(process)
    return found
