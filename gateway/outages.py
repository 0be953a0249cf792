"""When Redis does not answer: what a client is told, and how long to try on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import gevent
from redis.exceptions import RedisError

from shared.errors import QueueUnreachable

AGAIN = 0.25  # seconds between tries

T = TypeVar("T")


@contextmanager
def reaching_queue() -> Iterator[None]:
    """Raises QueueUnreachable for what redis-py raises."""
    try:
        yield
    except RedisError as error:
        raise QueueUnreachable from error


def patiently(call: Callable[[], T], seconds: float) -> T:
    """Call, and call again for so many seconds until Redis answers; then raises QueueUnreachable."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            return call()
        except RedisError as error:
            if time.monotonic() >= give_up:
                raise QueueUnreachable from error
        gevent.sleep(AGAIN)
