"""How a command fails: with one line that says cause and fix, and an exit status."""

from shared.errors import CrofError

STATUSES = (
    "Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 the server is not there or not ready, "
    "130 stopped by Ctrl-C."
)


class CommandFailed(CrofError):
    """The command could not do what it was asked. `code` and `status` are the server's, if that has refused it;
    a status of 0 is that of an error within a stream."""

    exit_status = 1

    def __init__(self, message: str, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class NotReady(CommandFailed):
    """Nothing is wrong with the request; the server cannot take it now."""

    exit_status = 3


class Stopped(CommandFailed):
    """The user has ended it, with Ctrl-C."""

    exit_status = 130
