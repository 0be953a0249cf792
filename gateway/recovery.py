"""Jobs whose message was lost on its way from the queue to a worker. Hop 3.

A message is taken off its queue, and its lease is noted, in two steps: a worker killed in between takes the
message with it, at its first delivery or at a later one; one whose loop is blocked notes it late. And a Redis
that is killed may forget a job's end, whose worker acknowledges the message afterwards. All leave a job that
was dispatched, and has neither an end nor a message. It is enqueued again; should it then run twice after all,
attempts see to it that it is told once.
"""

import logging
import time
from collections.abc import Iterable

import gevent
import redis
from redis.exceptions import RedisError

from shared import redis_keys as keys
from shared.lines import Lines
from shared.settings import Settings

log = logging.getLogger(__name__)

MOMENT = 1.0  # seconds; a message takes that long from its queue to its lease only where a loop is blocked


class Recovery:
    """Looks after all models; one gateway at a time does."""

    def __init__(self, settings: Settings, client: "redis.Redis", lines: Lines, models: Iterable[str]) -> None:
        self._redis = client
        self._lines = lines
        self._models = list(models)
        self._interval = settings.lease
        self._turn = int(1000 * max(0.9 * settings.lease, 2 * MOMENT))  # milliseconds, and longer than it takes
        self._job_timeout = settings.job_timeout

    def run(self) -> None:
        """Look until killed."""
        while True:
            gevent.sleep(self._interval)
            try:
                if self._redis.set(keys.RECOVERY, 1, nx=True, px=self._turn):
                    self.recover()
            except RedisError as error:
                log.warning("cannot look for lost messages: %s", error)

    def recover(self) -> None:
        """Enqueue the jobs again that are two leases old, and have neither an end nor a message."""
        latest = time.time() + self._job_timeout - 2 * self._interval
        # Once for all models: another gateway has its turn soon.
        if not (stranded := self._stranded(self._models, latest)):
            return
        gevent.sleep(MOMENT)
        again = self._stranded(stranded, latest)
        for model, ids in stranded.items():
            for job_id in ids & again.get(model, set()):
                # One that has less time than others looks older than it is.
                if self._lines.enqueue_again(job_id, time.time() - 2 * self._interval):
                    log.warning("job %s %s: its message was lost, enqueued again", job_id, model)

    def _stranded(self, models: Iterable[str], latest: float) -> dict[str, set[str]]:
        """Ids of stranded jobs, of models that have any."""
        found = {model: set(self._lines.stranded(model, latest)) for model in models}
        return {model: ids for model, ids in found.items() if ids}
