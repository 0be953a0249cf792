"""Things tests make."""

import time
from typing import Any

import msgspec
import redis

from shared import redis_keys as keys
from shared.catalog import Model
from shared.ledger import UsageRow
from shared.lines import Lines, Rates, Scope, Terms, Verdict
from shared.messages import Chunk, End, Job
from shared.tiers import Limits, Tier


def make_job(job_id: str = "job_1", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": job_id,
        "model": "m",
        "kind": "chat",
        "body": {"messages": [{"role": "user", "content": "hello"}], "stream": True},
        "account": "acc",
        "tier": "free",
        "reply_to": "gw1",
        "created": time.time(),
        "deadline": time.time() + 60,
    }
    return Job(**(fields | changes))


TIERS = {
    "premium": Tier(id="premium", description="", priority=3),
    "free": Tier(id="free", description="", priority=6, reserved=0.1),
}


def make_terms(tier: str = "free", *, units: int = 0, images: int = 0, **scopes: Limits) -> Terms:
    """Terms of a tier without limits, but for those of the scopes given."""
    return Terms(
        tier=TIERS[tier],
        key="key",
        rates=Rates(),
        units=units,
        images=images,
        scopes=[Scope(name, limits) for name, limits in scopes.items()],
    )


def admit(
    lines: Lines,
    job: Job,
    terms: Terms | None = None,
    *,
    reader: str = "r1",
    most: int = 9999,
    letter: str | None = None,
) -> Verdict:
    """Admit a job whose message says nothing but its id."""
    message = f'{{"properties": {{"correlation_id": "{job.id}", "delivery_tag": "t"}}}}'
    terms = terms or make_terms(job.tier)
    return lines.admit(job, message, reader, terms, most_waiting=most, now=time.time(), letter=letter)


def make_room(client: "redis.Redis", model: str = "m", places: int = 1000) -> None:
    """A worker that takes so many jobs at once, as far as the lines are told."""
    client.hset(keys.pool(model), "w", f"{places} {time.time() + 600}")


def make_usage(job: str, **changes: Any) -> UsageRow:
    """A row of the ledger: of a chat that has said something."""
    fields: dict[str, Any] = {
        "job": job,
        "account": "acc_a",
        "key": "key_1",
        "model": "m",
        "tier": "free",
        "kind": "chat",
        "state": "succeeded",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "image_steps": 0,
        "images": 0,
        "units": 15,
    }
    return UsageRow(**fields | changes)


def make_model(**changes: Any) -> Model:
    fields: dict[str, Any] = {
        "id": "m",
        "kind": "chat",
        "engine": "simulated",
        "weights": "",
        "description": "a test",
    }
    return Model(**(fields | changes))


def piece(attempt: int, text: str) -> Chunk:
    """A chunk whose payload is a chat chunk with this text."""
    payload = msgspec.json.encode({"choices": [{"delta": {"content": text}}]})
    return Chunk(attempt, [len(text)], msgspec.Raw(payload))


def last(attempt: int) -> Chunk:
    return Chunk(attempt, [], end=End(state="succeeded", finish_reason="stop"))
