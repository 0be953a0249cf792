"""Jobs that were given up, for the operator to look at: a bounded list in Redis, the newest first."""

from collections.abc import Iterator
from typing import Any

import redis

from shared import redis_keys as keys
from shared.messages import DeadLetter

AT_ONCE = 20  # letters that are read: each has a whole request


class DeadLetters:
    """Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def all(self) -> list[DeadLetter]:
        return list(self.each())

    def each(self) -> Iterator[DeadLetter]:
        """The same one after another, so that not all are held at once."""
        return (letter for _, letter in self._each())

    def find(self, job_id: str) -> DeadLetter | None:
        return next((letter for letter in self.each() if letter.job.id == job_id), None)

    def text(self, job_id: str) -> str | None:
        """The same as it is in the list, for Lines.admit."""
        return next(iter(self._of(job_id)), None)

    def drop(self, job_id: str) -> bool:
        """Forget a letter; False if there is none of this job."""
        mine = self._of(job_id)
        for letter in mine:
            self._redis.lrem(keys.DEAD, 0, letter)
        return bool(mine)

    def _of(self, job_id: str) -> list[str]:
        return [data.decode() for data, letter in self._each() if letter.job.id == job_id]

    def _each(self) -> Iterator[tuple[bytes, DeadLetter]]:
        """Those that come meanwhile move the others on: none is left out, and each comes once."""
        seen: set[int] = set()
        begin = 0
        while found := self._read(begin):
            for data in found:
                if (mark := hash(data)) not in seen:
                    seen.add(mark)
                    yield data, DeadLetter.decode(data)
            begin += len(found)

    def _read(self, begin: int) -> list[bytes]:
        found: Any = self._redis.lrange(keys.DEAD, begin, begin + AT_ONCE - 1)
        return list(found)
