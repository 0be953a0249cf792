"""Threads in which a database is asked: one that is slow, or locked by another program, holds up nobody else."""

import logging
from collections.abc import Callable
from typing import TypeVar, cast

from gevent.threadpool import ThreadPool

from shared.errors import AccountsUnreachable, SetupError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Threads:
    """So many of them, for which `most` may wait at once; a database that is slow is not made slower."""

    def __init__(self, threads: int, most: int) -> None:
        self._threads = ThreadPool(threads)
        self._most = most
        self._asking = 0

    def run(self, call: Callable[[], T]) -> T:
        """What the call returns or raises. Raises AccountsUnreachable if too many wait already."""
        if self._asking >= self._most:
            raise AccountsUnreachable
        self._asking += 1
        try:
            raised, result = self._threads.apply(_caught, (call,))
        finally:
            self._asking -= 1
        if raised is not None:
            raise raised
        return cast("T", result)

    def ask(self, call: Callable[[], T]) -> T:
        """As `run`, and raises AccountsUnreachable if the database cannot be used."""
        try:
            return self.run(call)
        except SetupError as error:
            log.error("%s", error)
            raise AccountsUnreachable from None


def _caught(call: Callable[[], T]) -> tuple[Exception, None] | tuple[None, T]:
    """gevent's threads print a traceback of what they raise, whoever waits for it."""
    try:
        return None, call()
    except Exception as error:
        return error, None
