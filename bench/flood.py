"""Floods of jobs before a model: put in line by the script that admits requests, and waited for by nobody."""

import dataclasses
import time
from itertools import count
from typing import Any, NamedTuple

from shared import redis_keys as keys
from shared.joblog import JobLog
from shared.ledger import Ledger
from shared.lines import Lines
from shared.queues import Envelope, make_celery
from shared.tiers import Tier, load_tiers
from tests.cluster import Cluster
from tests.factories import make_job, make_terms


class Begun(NamedTuple):
    """A job that has been begun: when, of whom, and of which tier."""

    at: float
    account: str
    tier: str


class Flood:
    """Fills the lines of model m, and tells who was served."""

    def __init__(self, running: Cluster) -> None:
        self._redis = running.valkey.client
        self._tiers = load_tiers(running.settings.tiers_file, ["m"])
        self._lines = Lines(self._redis, log_ttl=60)
        self._log = JobLog(self._redis, log_ttl=60)
        self._envelope = Envelope(make_celery(running.settings))
        self._ledger = Ledger(running.settings.sql_url)
        self._since = 0.0
        self._numbers = count()

    def put(self, account: str, tier: str, jobs: int, words: int) -> None:
        """So many jobs, each of which says so many words, in an account's line."""
        chosen = self._tiers.find(tier)
        for _ in range(jobs):
            self._put(account, chosen, words)

    def waiting(self, tier: str) -> int:
        return int(self._redis.zcard(keys.waiting("m", tier)))

    def begun(self) -> list[Begun]:
        """The jobs that have ended since the last `clear`, in the order in which they were begun."""
        rows = self._ledger.rows(None, self._since, limit=10**6)
        return sorted(Begun(row.begun, row.account, row.tier) for row in rows if row.begun)

    def clear(self) -> None:
        """Cancel what waits, wait for what runs, and forget it."""
        until = time.monotonic() + 60
        while self._redis.zcard(keys.open_jobs("m")):
            assert time.monotonic() < until, "jobs do not end"
            for tier in self._tiers.all:
                waiting: Any = self._redis.zrange(keys.waiting("m", tier.id), 0, -1)
                for job_id in waiting:
                    self._log.cancel(job_id.decode(), "m")
            time.sleep(0.1)
        self._since = time.time()

    def _put(self, account: str, tier: Tier, words: int) -> None:
        said = " ".join(["w"] * words)
        job = make_job(
            f"job_{account}_{next(self._numbers)}",
            account=account,
            tier=tier.id,
            body={"messages": [{"role": "user", "content": f"echo {said}"}], "stream": True},
            reply_to="nobody",
            deadline=time.time() + 1200,
        )
        terms = dataclasses.replace(make_terms(), tier=tier)
        message = self._envelope.message(job, tier.priority)
        verdict = self._lines.admit(job, message, "nobody", terms, most_waiting=10**6, now=time.time())
        assert not verdict.refusal, verdict
