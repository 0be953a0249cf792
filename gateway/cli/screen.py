"""What people see of an answer: it on standard output, and all that is said about it on standard error."""

import io
import shutil
import sys
from typing import TextIO

from gateway.cli.console import wants_colour
from gateway.cli.plain import one_line, plain


class Screen:
    """Standard output and error, which may be the same terminal, or none. `quiet` leaves out what is said in
    passing."""

    def __init__(self, *, quiet: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        for stream in (self._out, self._err):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # what a terminal cannot show is no reason to stop
        self._quiet = quiet
        self._talks = self._err.isatty() and not quiet
        self._colour = wants_colour(self._err)
        self._shown = 0  # characters of the status
        self._open = False  # whether the terminal's last line has no end yet
        self._beside = False  # and is not the answer's
        self._ended = True  # whether what is on standard output ends with a line's end

    @property
    def talks(self) -> bool:
        """Whether anybody reads what is said in passing."""
        return self._talks

    @property
    def quiet(self) -> bool:
        """Whether nothing is wanted but the answer, and errors."""
        return self._quiet

    def answer(self, text: str) -> None:
        """More of the answer."""
        self._clear()
        if self._beside:
            self._break()
        text = plain(text)
        self._out.write(text)
        self._out.flush()
        self._ended = text.endswith("\n")
        if self._out.isatty():
            self._open = not self._ended

    def end(self) -> None:
        """The answer is over: it ends with its line."""
        self._clear()
        if not self._ended:
            self._out.write("\n")
            self._out.flush()
            self._ended, self._open = True, False
        self._break()

    def aside(self, text: str) -> None:
        """More of what is not the answer, but comes beside it."""
        self._clear()
        text = plain(text)
        self._err.write(self._dim(text))
        self._err.flush()
        self._open = self._beside = not text.endswith("\n")

    def say(self, text: str) -> None:
        """Lines that are there whether anybody reads along or not."""
        self._clear()
        self._break()
        self._err.write(plain(text) + "\n")
        self._err.flush()

    def note(self, text: str) -> None:
        """A line, for who reads along."""
        if not self._talks:
            return
        self._clear()
        self._break()
        self._err.write(self._dim(one_line(text)) + "\n")
        self._err.flush()

    def status(self, text: str) -> None:
        """How it stands now, in place of what was said before. It is gone once there is more to say."""
        if not self._talks or self._open:
            return
        text = one_line(text)[: shutil.get_terminal_size().columns - 1]
        # Spaces, not an escape sequence: they are understood everywhere.
        self._err.write("\r" + self._dim(text) + " " * (self._shown - len(text)))
        self._err.flush()
        self._shown = max(self._shown, len(text))

    def _clear(self) -> None:
        if self._shown:
            self._err.write("\r" + " " * self._shown + "\r")
            self._err.flush()
            self._shown = 0

    def _break(self) -> None:
        if self._open:
            self._err.write("\n")
            self._err.flush()
        self._open = self._beside = False

    def _dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self._colour and text else text
