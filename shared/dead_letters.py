"""Jobs that were given up, for the operator to look at: a bounded list in Redis, the newest first."""

from typing import Any

import redis

from shared import redis_keys as keys
from shared.messages import DeadLetter


class DeadLetters:
    """Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def all(self) -> list[DeadLetter]:
        return [DeadLetter.decode(data) for data in self._read()]

    def find(self, job_id: str) -> DeadLetter | None:
        return next((letter for letter in self.all() if letter.job.id == job_id), None)

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
        return [data.decode() for data in self._read() if DeadLetter.decode(data).job.id == job_id]

    def _read(self) -> list[bytes]:
        found: Any = self._redis.lrange(keys.DEAD, 0, -1)
        return list(found)
