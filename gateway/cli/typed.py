"""What a user types or pastes: a message, which may have several lines."""

import sys
from contextlib import suppress

QUOTES = '"""'
MORE = ". "


def prepare() -> None:
    """Give input() line editing and history, and have it take a pasted text as one message."""
    with suppress(ImportError):
        import readline

        # Python switches it off.
        readline.parse_and_bind("set enable-bracketed-paste on")


def read(prompt: str) -> str:
    """The next message. Raises EOFError, and KeyboardInterrupt."""
    line = _line(prompt)
    if line.lstrip().startswith(QUOTES):
        text = line.lstrip().removeprefix(QUOTES)
        while not text.rstrip().endswith(QUOTES):
            text += "\n" + _line(MORE)
        return text.rstrip().removesuffix(QUOTES).strip("\n")
    while line.endswith("\\"):
        line = line[:-1] + "\n" + _line(MORE)
    return line


def _line(prompt: str) -> str:
    """A line; with what was pasted, lines. Where standard output is no terminal, the prompt is not in it."""
    if sys.stdout.isatty():
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    return input()
