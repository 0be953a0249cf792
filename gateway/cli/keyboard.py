"""Single keys, as they are pressed."""

import os
import select
import sys
import termios
import time
import tty
from contextlib import suppress
from typing import Any


class Keyboard:
    """Within its context keys come at once, and are not shown. What is no terminal has no keys."""

    def __init__(self) -> None:
        self._stdin: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] = []

    def __enter__(self) -> "Keyboard":
        if self._stdin is not None:
            self._before = termios.tcgetattr(self._stdin)
            tty.setcbreak(self._stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stdin is not None:
            with suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._before)

    def pressed(self, keys: str, within: float) -> bool:
        """Whether one of these is pressed in so many seconds."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            if self._stdin is None:
                time.sleep(left)
            elif select.select([self._stdin], [], [], left)[0]:
                typed = os.read(self._stdin, 64)
                if not typed:
                    self._stdin = None  # the terminal is gone
                elif any(key in keys for key in typed.decode(errors="replace")):
                    return True
        return False
