"""How much of Redis's memory an open stream takes, by its length. A part of `make bench-soak`."""

import json
from typing import Any, NamedTuple

import redis

from shared import redis_keys as keys
from tests import wire
from tests.cluster import Cluster, wait_for

LENGTHS = (10, 100, 1000)  # tokens


class Footprint(NamedTuple):
    """Bytes of Redis's memory that one stream takes, which has had so many tokens and goes on.

    `record` is the job's, with what was asked; `message` is what its worker has leased, and its places in the sets
    of its model.
    """

    tokens: int
    record: int
    log: int
    message: int

    @property
    def total(self) -> int:
        return self.record + self.log + self.message


def footprints(running: Cluster, model: str) -> list[Footprint]:
    """One for each length, of a model that has nothing else to do, and gives long answers to anything."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Tell me a story."}]}
    asking = wire.request(path="/v1/chat/completions", body=json.dumps(body).encode(), X_API_Key=running.key())
    return [_footprint(running, model, asking, tokens) for tokens in LENGTHS]


def _footprint(running: Cluster, model: str, asking: bytes, tokens: int) -> Footprint:
    client = running.valkey.client
    with wire.dial(running) as raw:
        raw.sendall(asking)
        wait_for(lambda: client.zcard(keys.open_jobs(model)), 20, "the job")
        names: Any = client.zrange(keys.open_jobs(model), 0, -1)
        job = names[0].decode()
        # The first chunk has the role alone.
        wait_for(lambda: client.llen(keys.log(job)) > tokens, 60, "its tokens", every=0.001)
        found = _measure(client, job, model)
    wait_for(lambda: not client.exists(keys.lease(model)), 20, "its end")
    return found


def per_token(found: list[Footprint]) -> float:
    """Bytes that a token takes in a log that is long."""
    *_, some, most = found
    return (most.log - some.log) / (most.tokens - some.tokens)


def _measure(client: "redis.Redis", job: str, model: str) -> Footprint:
    """All at one moment."""
    beside = (keys.lease(model), keys.lease_index(model), keys.open_jobs(model))
    with client.pipeline(transaction=True) as pipe:
        pipe.llen(keys.log(job))
        for name in (keys.job(job), keys.log(job), *beside):
            pipe.memory_usage(name, samples=0)
        length, record, log, *message = pipe.execute()
    known: list[Any] = [size or 0 for size in message]
    return Footprint(length - 1, record, log, sum(known))
