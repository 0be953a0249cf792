"""What may happen between two looks at the job of an Idempotency-Key, on a real Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from gateway.admission import Admission, Answer, Client
from gateway.idempotency import Idempotency
from gateway.relay import Relay
from gateway.roster import Roster
from shared import redis_keys as keys
from shared.accounts import Holder
from shared.joblog import Fate, JobLog
from shared.lines import Lines
from shared.queues import Envelope, make_celery
from shared.registry import Registry, Report
from shared.settings import Settings
from shared.tiers import load_tiers
from tests.cluster import Valkey
from tests.factories import last, make_model, piece

pytestmark = pytest.mark.integration

HOLDER = Holder(account="acc", key="key", tier="free")


class _Slow(Admission):
    """Whoever asks it for a job's fate comes too late: the job is given up in between."""

    log: JobLog
    redis: "redis.Redis"

    def fate(self, job_id: str) -> Fate:
        fate = super().fate(job_id)
        reader = self.redis.hget(keys.job(job_id), "reader")
        assert reader is not None
        self.log.leave(job_id, "m", reader.decode())
        return fate


@pytest.fixture
def jobs(valkey_server: Valkey, valkey: "redis.Redis") -> Idempotency:
    settings = Settings(redis_url=valkey_server.url)
    log = JobLog(valkey, log_ttl=10)
    relay = Relay(valkey, "gw1", log, inbox_bytes=10_000, outage_timeout=1)
    Registry(valkey).report(Report(id="w1", model="m", engine="simulated", state="ready", capacity=9))
    admission = _Slow(
        settings,
        "gw1",
        log,
        Lines(valkey, log_ttl=10),
        Roster(valkey),
        load_tiers(None, []),
        Envelope(make_celery(settings)),
        relay,
    )
    admission.log, admission.redis = log, valkey
    return Idempotency(settings, valkey, admission)


@contextmanager
def asked(jobs: Idempotency) -> Iterator[Answer]:
    with jobs.submit("once", HOLDER, "free", make_model(), {"messages": []}, Client()) as answer:
        yield answer


def test_who_comes_back_as_its_job_is_given_up_begins_anew(jobs: Idempotency, valkey: "redis.Redis") -> None:
    with asked(jobs) as first, asked(jobs) as second:
        assert second.job.id != first.job.id
        assert valkey.hget(keys.job(first.job.id), "cancelled") == b"left"
        assert valkey.hget(keys.job(second.job.id), "cancelled") is None


def test_an_end_that_is_told_again_is_not_counted_again(jobs: Idempotency, valkey: "redis.Redis") -> None:
    with asked(jobs) as first:
        valkey.rpush(keys.log(first.job.id), piece(1, "a").encode(), last(1).encode())
        valkey.hset(keys.job(first.job.id), "state", "succeeded")
        with jobs._admission.resume(HOLDER, first.job.id, 2, Client()) as again:
            assert [chunk.end is not None for chunks in again for chunk in chunks] == [True]
            assert again.number == 2
        with jobs._admission.resume(HOLDER, first.job.id, 1, Client()) as again:
            assert [len(chunks) for chunks in again] == [1]
            assert again.number == 2
