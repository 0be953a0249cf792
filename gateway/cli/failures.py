"""How a command fails: with one line that says cause and fix, and an exit status.

0 done · 1 failed · 2 wrong usage (Typer's own) · 3 the server is not there, or not ready
"""

from shared.errors import CrofError


class CommandFailed(CrofError):
    """The command could not do what it was asked. `code` is the server's, if that has refused it."""

    exit_status = 1

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class NotReady(CommandFailed):
    """Nothing is wrong with the request; the server cannot take it now."""

    exit_status = 3
