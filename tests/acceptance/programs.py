"""Programs that documents print, each run as a user would: in a process and a folder of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

NODE_CLIENTS = Path(__file__).parent / "clients"
NODE_PACKAGES = NODE_CLIENTS / "node_modules"


@dataclass(frozen=True)
class Run:
    """What a program did."""

    status: int
    out: str
    err: str
    folder: Path

    def answer(self) -> str:
        """What it printed, if nothing went wrong."""
        assert self.status == 0, f"ended with status {self.status}:\n{self.out}{self.err}"
        assert "Traceback" not in self.err, self.err
        return self.out


class Programs:
    """Runs programs in new folders below one. `patience` is in seconds, for each."""

    def __init__(self, folder: Path, *, patience: float = 60, **environment: str) -> None:
        self._folder = folder
        self._patience = patience
        self._environment = environment
        self._numbers = count(1)

    def shell(self, text: str) -> Run:
        folder = self._new_folder()
        (folder / "client.sh").write_text(text)
        return self._run(folder, "bash", "-o", "pipefail", "client.sh")

    def python(self, text: str) -> Run:
        folder = self._new_folder()
        (folder / "client.py").write_text(text)
        return self._run(folder, sys.executable, "client.py")

    def javascript(self, text: str, name: str = "client.mjs", *options: str) -> Run:
        folder = self._node_folder()
        (folder / name).write_text(text)
        return self._run(folder, "node", *options, name)

    def typescript(self, text: str, *, module: bool = False) -> Run:
        """Compiled first, with every strict check; a complaint of the compiler is the answer, then."""
        folder = self._node_folder()
        name = "client.mts" if module else "client.ts"
        (folder / name).write_text(text)
        shutil.copy(NODE_CLIENTS / "tsconfig.json", folder)
        compiled = self._run(folder, str(NODE_PACKAGES / ".bin" / "tsc"), "--project", ".")
        return self._run(folder, "node", name.replace("ts", "js")) if compiled.status == 0 else compiled

    def _run(self, folder: Path, *command: str) -> Run:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._patience,
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace") + (late.stderr or b"").decode(errors="replace")
            raise AssertionError(f"{command} did not end in {self._patience} s; it said:\n{said}") from None
        return Run(done.returncode, done.stdout, done.stderr, folder)

    def _new_folder(self) -> Path:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir(parents=True)
        return folder

    def _node_folder(self) -> Path:
        """A folder where Node and the TypeScript compiler find their packages."""
        if shutil.which("node") is None:
            pytest.fail("Node.js is not installed; version 20 or newer is needed, and `make test` does the rest")
        if not (NODE_PACKAGES / "typescript").is_dir() or not (NODE_PACKAGES / "socket.io-client").is_dir():
            pytest.fail(f"{NODE_PACKAGES} lacks the JavaScript clients' packages; `make test` installs them")
        folder = self._new_folder()
        (folder / "node_modules").symlink_to(NODE_PACKAGES)
        return folder
