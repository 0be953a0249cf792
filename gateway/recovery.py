"""Jobs whose message was lost on its way from the queue to a worker, or never reached the queue. Hop 3.

Kombu takes a message off its queue and notes its lease in two steps: a worker killed in between takes the message
with it. So does a gateway that is killed between admitting a job and enqueuing it. Both leave a job that waits and
has no message. It is enqueued again; should it then run twice after all, attempts see to it that it is told once.
"""

import logging
import time
from collections.abc import Iterable

import gevent
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared import queues
from shared import redis_keys as keys
from shared.joblog import JobLog
from shared.settings import Settings

log = logging.getLogger(__name__)


class Recovery:
    """Looks after all models; one gateway at a time does."""

    def __init__(
        self, settings: Settings, client: "redis.Redis", joblog: JobLog, celery: Celery, models: Iterable[str]
    ) -> None:
        self._redis = client
        self._log = joblog
        self._celery = celery
        self._models = list(models)
        self._interval = settings.lease
        self._job_timeout = settings.job_timeout

    def run(self) -> None:
        """Look until killed."""
        while True:
            gevent.sleep(self._interval)
            try:
                if self._redis.set(keys.RECOVERY, 1, nx=True, px=int(self._interval * 900)):
                    for model in self._models:
                        self.recover(model)
            except (RedisError, OperationalError) as error:
                log.warning("cannot look for lost messages: %s", error)

    def recover(self, model: str) -> None:
        """Enqueue the jobs again that have waited for two leases and have no message."""
        latest = time.time() + self._job_timeout - 2 * self._interval
        overdue = self._log.overdue(model, latest)
        delivered = self._log.delivered(model) if overdue else set()
        for job_id in overdue:
            if job_id not in delivered and (job := self._log.waiting_job(job_id)):
                log.warning("job %s %s: its message was lost, enqueued again", job_id, model)
                queues.enqueue(self._celery, job)
