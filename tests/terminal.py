"""A command on a terminal of its own, with somebody who types and reads."""

import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from types import TracebackType

from tests.cluster import ROOT

CROFAI = [sys.executable, "-m", "gateway.cli"]
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
PATIENCE = 30  # seconds
CTRL_C, CTRL_D, CTRL_U, TAB = "\x03", "\x04", "\x15", "\t"


class Terminal:
    """What is on it is `text`, with all that controls it."""

    def __init__(self, *command: str, env: dict[str, str], folder: Path = ROOT, columns: int = 120) -> None:
        self.text = ""
        self._master, slave = os.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)} | env,
            cwd=folder,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    @property
    def takes_lines(self) -> bool:
        """Whether it gives what is typed line by line, as a shell wants it, and shows it."""
        wanted = termios.ICANON | termios.ECHO
        flags: int = termios.tcgetattr(self._master)[3]
        return flags & wanted == wanted

    def until(self, text: str, *, after: int = 0) -> int:
        """Wait until this is there, behind so many characters; the place behind it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.text[after:]:
            if not self._read(deadline):
                raise AssertionError(f"waited in vain for {text!r}:\n{self.text[after:]!r}")
        return self.text.index(text, after) + len(text)

    def prompted(self, *, after: int) -> int:
        """Wait for a prompt, by which keys must come at once: a Ctrl-D that is pressed while the terminal still
        takes lines ends nothing. The place behind it."""
        place = self.until("> ", after=after)
        assert not self.takes_lines, "the prompt is there before keys are taken"
        return place

    def insist(self, key: str, text: str, *, after: int, every: int = 1) -> int:
        """Press a key until this is there, again after so many seconds: one that is pressed in the moment in which
        Python begins to wait for input is not seen before the next one."""
        for _ in range(PATIENCE // every):
            self.type(key)
            deadline = time.monotonic() + every
            while text not in self.text[after:] and self._read(deadline):
                pass
            if text in self.text[after:]:
                break
        return self.until(text, after=after)

    def end(self) -> int:
        """Read all that is still to come; the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._process.wait(max(1, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._master], [], [], left)[0]:
            return False
        try:
            read = os.read(self._master, 65536)
        except OSError:  # as Linux tells that nobody has it open any more
            return False
        self.text += read.decode(errors="replace")
        return bool(read)


@contextmanager
def crofai(*arguments: str, env: dict[str, str], folder: Path = ROOT, columns: int = 120) -> Iterator[Terminal]:
    with Terminal(*CROFAI, *arguments, env=env, folder=folder, columns=columns) as terminal:
        yield terminal


def piped(*arguments: str, env: dict[str, str], text: str = "") -> "subprocess.CompletedProcess[str]":
    """The same command without a terminal."""
    return subprocess.run(
        [*CROFAI, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, input=text
    )
