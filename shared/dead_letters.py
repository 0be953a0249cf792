"""Jobs that were given up, for the operator to look at: a bounded list in Redis, the newest first."""

from collections.abc import Callable, Iterator
from typing import Any

import redis

from shared import redis_keys as keys
from shared.messages import DeadLetter

AT_ONCE = 20  # letters that are read: each has a whole request


class DeadLetters:
    """Raises redis errors. It can `pause` after each letter, of which there may be a thousand."""

    def __init__(self, client: "redis.Redis", pause: Callable[[], None] | None = None) -> None:
        self._redis = client
        self._pause = pause

    def all(self) -> list[DeadLetter]:
        return list(self.each())

    def each(self) -> Iterator[DeadLetter]:
        """The same one after another, so that not all are held at once."""
        return (letter for _, letter in self._each())

    def find(self, job_id: str) -> DeadLetter | None:
        found = self.locate(job_id)
        return None if found is None else found[1]

    def locate(self, job_id: str) -> tuple[str, DeadLetter] | None:
        """The same, and before it its text in the list, for Lines.admit."""
        found = ((data.decode(), letter) for data, letter in self._each() if letter.job.id == job_id)
        return next(found, None)

    def drop(self, job_id: str) -> bool:
        """Forget a letter; False if there is none of this job."""
        found = self.locate(job_id)
        return found is not None and bool(self._redis.lrem(keys.DEAD, 0, found[0]))

    def _each(self) -> Iterator[tuple[bytes, DeadLetter]]:
        """Those that come or go meanwhile move the others: none is left out, and each comes once.

        What is read begins with one that has been seen: all that follow one are behind it, however they move.
        """
        seen: set[int] = set()
        begin, more = 0, True
        while more:
            found = self._read(begin)
            if begin and not (found and hash(found[0]) in seen):
                begin = max(0, begin - AT_ONCE)
                continue
            more = len(found) == AT_ONCE
            for data in found:
                if (mark := hash(data)) not in seen:
                    seen.add(mark)
                    yield data, DeadLetter.decode(data)
                    if self._pause:
                        self._pause()
            begin += len(found) - 1

    def _read(self, begin: int) -> list[bytes]:
        found: Any = self._redis.lrange(keys.DEAD, begin, begin + AT_ONCE - 1)
        return list(found)
