"""Jobs that were given up, for the operator to look at: a bounded list in Redis, the newest first."""

from typing import Any

import redis

from shared import redis_keys as keys
from shared.lines import Lines
from shared.messages import DeadLetter

DROP = "return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('LREM', KEYS[2], 0, ARGV[1]) or 0"
"""Forgets a letter, if the job that takes its place has been admitted."""


class DeadLetters:
    """Raises redis errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def all(self) -> list[DeadLetter]:
        return [DeadLetter.decode(data) for data in self._read()]

    def find(self, job_id: str) -> DeadLetter | None:
        return next((letter for letter in self.all() if letter.job.id == job_id), None)

    def drop(self, job_id: str) -> bool:
        """Forget a letter; False if there is none of this job."""
        mine = self._of(job_id)
        for data in mine:
            self._redis.lrem(keys.DEAD, 0, data)
        return bool(mine)

    def _of(self, job_id: str) -> list[Any]:
        return [data for data in self._read() if DeadLetter.decode(data).job.id == job_id]

    def _read(self) -> list[Any]:
        found: Any = self._redis.lrange(keys.DEAD, 0, -1)
        return list(found)


class LetterGone(Exception):
    """Somebody else has dropped the letter, or had its job run again."""


class SecondChance(Lines):
    """Lines to which one job may be admitted in place of one that was given up.

    To admit it and to forget the letter are one step, so that whatever happens, the letter is there or the job is,
    and never both. Raises LetterGone, and redis errors.
    """

    def __init__(self, client: "redis.Redis", given_up: str, again: str, *, log_ttl: int) -> None:
        """`given_up` and `again` are the ids of the two jobs."""
        super().__init__(client, log_ttl=log_ttl)
        self._given_up = given_up
        self._record = keys.job(again)
        self._drop = client.register_script(DROP)
        self._admit_alone = self._admit
        self._admit = self._admit_and_drop  # type: ignore[assignment]

    def _admit_and_drop(self, args: list[Any]) -> Any:
        while True:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.watch(keys.DEAD)  # type: ignore[no-untyped-call]
                letters = DeadLetters(pipe)._of(self._given_up)
                if not letters:
                    if not pipe.exists(self._record):
                        raise LetterGone
                    # It is our own doing, of which no answer has come; to be admitted again changes nothing.
                    return self._admit_alone(args=args)
                pipe.multi()
                self._admit_alone(args=args, client=pipe)
                for letter in letters:
                    self._drop(keys=[self._record, keys.DEAD], args=[letter], client=pipe)
                try:
                    return pipe.execute()[0]
                except redis.WatchError:
                    continue
