"""The hard way out of a worker, for when it holds something that cannot be interrupted."""

import contextlib
import logging
import os
from typing import NoReturn

import psutil

ROUNDS = 100


def leave(status: int) -> NoReturn:
    """End this process and all it started, at once."""
    # The death of a child may be noticed here, and logged at length.
    logging.disable()
    for _ in range(ROUNDS):
        if not _kill_children():
            break
    os._exit(status)


def _kill_children() -> bool:
    """False if there was none left. Another thread may be starting one."""
    found = False
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and not _tidies_up(child):
                child.kill()
                found = True
    return found


def _tidies_up(process: psutil.Process) -> bool:
    """Python's resource tracker ends by itself, after freeing the shared memory of those that were killed."""
    return any("multiprocessing.resource_tracker" in word for word in process.cmdline())
