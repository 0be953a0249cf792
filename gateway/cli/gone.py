"""What we write may not arrive: Ctrl-C ends all of a pipeline, a terminal may be closed, and a disk be full."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What the system says of output that cannot be written, though somebody may want it."""


@contextmanager
def may_be_gone() -> Iterator[None]:
    """Within this context it is no failure if nobody reads what is written."""
    try:
        yield
    except OSError:
        _give_up()


@contextmanager
def written_out() -> Iterator[None]:
    """What is written within this context has arrived behind it, or else the command ends: with one line, or with
    none if nobody reads it any more."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # Python would do so later, where it can only show a traceback
    except OSError as error:
        if error.errno not in (errno.EPIPE, *UNWRITTEN):
            raise
        _give_up()
        if error.errno != errno.EPIPE:
            with may_be_gone():
                why = f"{error.strerror}; make room, or send it elsewhere"
                print(f"crofai: the output cannot be written: {why}", file=sys.stderr, flush=True)
        sys.exit(1)


def _give_up() -> None:
    """What cannot be written goes nowhere from now on; else Python fails once more when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
