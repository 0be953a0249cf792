"""Readers of what we write may be gone: Ctrl-C ends all of a pipeline, and a terminal may be closed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def may_be_gone() -> Iterator[None]:
    """Within this context it is no failure if nobody reads what is written."""
    try:
        yield
    except OSError:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                # What is still to be written goes nowhere; else Python fails once more when it ends.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
