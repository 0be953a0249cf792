"""Jobs without a message, of many models at once."""

import time

import pytest
import redis

from gateway.recovery import MOMENT, Recovery
from shared import queues
from shared.lines import Lines
from shared.messages import Job
from shared.queues import Envelope, make_celery
from shared.settings import Settings
from tests.cluster import Valkey
from tests.factories import make_job, make_room, make_terms

pytestmark = pytest.mark.integration

MODELS = [f"m{number}" for number in range(5)]


@pytest.fixture
def recovery(valkey_server: Valkey, valkey: "redis.Redis") -> Recovery:
    """The part of a gateway that looks. Each model has a job that is stranded, and old enough."""
    settings = Settings(redis_url=valkey_server.url, lease=2)
    lines = Lines(valkey, log_ttl=10)
    for model in MODELS:
        strand(lines, valkey, make_job(f"job_{model}", model=model, created=time.time() - 5))
    return Recovery(settings, valkey, lines, MODELS)


def strand(lines: Lines, client: "redis.Redis", job: Job) -> None:
    """Have a job lose its message."""
    make_room(client, job.model)
    message = Envelope(make_celery(Settings())).message(job, 6)
    lines.admit(job, message, "r", make_terms(), most_waiting=9, now=time.time())
    assert client.rpop(queues.list_of(job.model, 6))


def waiting(client: "redis.Redis") -> list[int]:
    return [sum(client.llen(name) for name in queues.lists(model)) for model in MODELS]


def test_all_models_are_looked_at_in_one_turn(recovery: Recovery, valkey: "redis.Redis") -> None:
    began = time.monotonic()
    recovery.recover()
    assert MOMENT <= time.monotonic() - began < len(MODELS) * MOMENT
    assert waiting(valkey) == [1] * len(MODELS)


def test_a_job_with_little_time_is_no_older_for_that(recovery: Recovery, valkey: "redis.Redis") -> None:
    """Jobs are found by their deadlines, and those of some come early because their clients say so."""
    young = make_job("job_young", model="m0", deadline=time.time() + 5)
    strand(Lines(valkey, log_ttl=10), valkey, young)
    recovery.recover()
    assert waiting(valkey) == [1] * len(MODELS)
