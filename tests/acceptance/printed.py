"""The document's clients, each run as it is printed, in a process and a folder of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance import document

NODE_CLIENTS = Path(__file__).parent / "clients"
NODE_PACKAGES = NODE_CLIENTS / "node_modules"


@dataclass(frozen=True)
class Run:
    """What a client did."""

    status: int
    out: str
    err: str
    folder: Path

    def answer(self) -> str:
        """What it printed, if nothing went wrong."""
        assert self.status == 0, f"ended with status {self.status}:\n{self.out}{self.err}"
        assert "Traceback" not in self.err, self.err
        return self.out


class Printed:
    """The printed clients of one gateway. `patience` is in seconds, for one client."""

    def __init__(self, url: str, key: str, folder: Path, *, patience: float = 60) -> None:
        self._url = url
        self._key = key
        self._folder = folder
        self._patience = patience
        self._numbers = count(1)

    def python_chat(self, model: str) -> Run:
        return self._python(document.fill(document.PYTHON_CHAT, host=self._url, key=self._key, path_model=model))

    def python_image(self) -> Run:
        return self._python(document.fill(document.PYTHON_IMAGE, host=self._url, key=self._key))

    def python_stream(self, model: str) -> Run:
        block = document.PYTHON_STREAM
        return self._python(document.fill(block, host=self._url, python_token=self._key, model=f'"{model}"'))

    def typescript_chat(self, model: str) -> Run:
        """Compiled first, with every strict check; a complaint of the compiler is the answer, then."""
        block = document.fill(document.TYPESCRIPT_CHAT, host=self._url, key=self._key, path_model=model)
        folder = self._node_folder()
        (folder / "client.ts").write_text(block)
        shutil.copy(NODE_CLIENTS / "tsconfig.json", folder)
        compiled = self._run(folder, str(NODE_PACKAGES / ".bin" / "tsc"), "--project", ".")
        return self._run(folder, "node", "client.js") if compiled.status == 0 else compiled

    def javascript_stream(self, model: str) -> Run:
        block = document.JAVASCRIPT_STREAM
        folder = self._node_folder()
        (folder / "client.cjs").write_text(
            document.fill(block, javascript_token=f'"{self._key}"', model=f'"{model}"')
        )
        return self._run(folder, "node", "--require", str(NODE_CLIENTS / "page.cjs"), "client.cjs")

    def _python(self, block: str) -> Run:
        folder = self._new_folder()
        (folder / "client.py").write_text(block)
        return self._run(folder, sys.executable, "client.py")

    def _run(self, folder: Path, *command: str) -> Run:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=os.environ | {"PAGE": self._url},
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
