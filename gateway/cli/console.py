"""Where the lines of all processes go: to the terminal, behind their process's name, and to a file each."""

import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import TextIO

MOST_BYTES = 10_000_000
"""A log file that grows past this becomes NAME.log.1, in place of an older one."""

LONGEST = 2_000
"""Characters of a line on the terminal; its log file has all of it."""

BOLD = 1
COLOURS = (36, 35, 34, 33, 32)


class Console:
    """Lines for people, on standard error. Colours only on a terminal, and not if NO_COLOR is set."""

    def __init__(self, out: TextIO, *, width: int = 0, colour: bool | None = None) -> None:
        self._out = out
        self._width = width
        self._colour = wants_colour(out) if colour is None else colour
        self._colours = {"crofai": BOLD}
        self._next = cycle(COLOURS)
        self._unread = 0

    def say(self, text: str) -> None:
        """A line of `crofai up` itself."""
        self.line("crofai", text)

    def line(self, name: str, text: str) -> None:
        """A line of a process. Control characters, which could come from a client's request, are dropped."""
        text = "".join(c for c in text[:LONGEST] if c.isprintable() or c == "\t")
        head = f"{name:<{self._width}} |"
        if self._colour:
            if name not in self._colours:
                self._colours[name] = next(self._next)
            head = f"\033[{self._colours[name]}m{head}\033[0m"
        self._print(f"{head} {text}")

    def _print(self, line: str) -> None:
        """Print, unless nobody reads what was printed: waiting for that would stop all processes, one by one."""
        if not _has_room(self._out):
            self._unread += 1
            return
        if self._unread:
            line = f"({self._unread} lines are in the log files alone: nobody read them here)\n{line}"
            self._unread = 0
        try:
            print(line, file=self._out, flush=True)
        except OSError:
            # The terminal is gone; the processes and their log files go on.
            discard(self._out)


def _has_room(stream: TextIO) -> bool:
    """Whether a line can be written without waiting."""
    try:
        return bool(select.select([], [stream.fileno()], [], 0)[1])
    except (OSError, ValueError):  # no file, or a closed one
        return True


def discard(stream: TextIO) -> None:
    """Let a stream whose reader is gone lead nowhere, with what it still holds, so that it fails no more."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class LogFile:
    """One process's output. What an earlier run wrote is kept as NAME.log.1.

    What cannot be written is lost, and `warn` is told so once: a full disk or a deleted folder must not stop the
    process, which would wait for its output to be read. Each line tries again.
    """

    def __init__(self, folder: Path, name: str, warn: Callable[[str], None]) -> None:
        self._path = folder / f"{name}.log"
        self._warn = warn
        self._warned = False
        self._file: TextIO | None = None
        with self._warning():
            self._file = self._turn()

    def write(self, text: str) -> None:
        with self._warning():
            if self._file is None:
                self._file = self._turn()
            self._file.write(text + "\n")
            self._file.flush()
            if self._file.tell() > MOST_BYTES:
                self.close()

    def close(self) -> None:
        """The next line, if there is one, begins a new file."""
        file, self._file = self._file, None
        with self._warning():
            if file:
                file.close()

    def _turn(self) -> TextIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        return self._path.open("w", encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def _warning(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._warned:
                self._warn(f"warning: {self._path} cannot be written: {error.strerror}; its lines are only here")
            self._warned = True


def wants_colour(out: TextIO) -> bool:
    """Only a terminal that can, whose user has not set NO_COLOR."""
    able = out.isatty() and os.environ.get("TERM") != "dumb" and sys.platform != "win32"
    return able and not os.environ.get("NO_COLOR")
