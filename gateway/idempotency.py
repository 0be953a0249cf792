"""`Idempotency-Key`: the same request, sent again, is the same job. Hop 2.

A client that does not know whether its request arrived sends it again with the same key, and joins the job that
runs, or gets the answer that it has had. So the job of a client that is cut off goes on for a while; one that was
cancelled because nobody came is begun anew. Keys are an account's own, and are kept as long as its job can be.
"""

import hashlib
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import gevent
import msgspec
import redis

from gateway.admission import Admission, Answer, Client
from gateway.outages import reaching_queue
from shared import redis_keys as keys
from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import IdempotencyMismatch, InvalidRequest
from shared.joblog import script
from shared.messages import new_job_id
from shared.settings import Settings

LONGEST = 255  # characters
COMING_BACK = 20.0  # seconds that a client has to send its request again
ADMITTED = 2.0  # seconds in which a job is admitted, once its key is taken


class Idempotency:
    """Admission, for requests that may come twice."""

    def __init__(self, settings: Settings, client: "redis.Redis", admission: Admission) -> None:
        self._redis = client
        self._admission = admission
        self._replace = client.register_script(script("replace"))
        self._ttl = int(settings.job_timeout + settings.log_ttl)

    def submit(
        self, key: str | None, holder: Holder, tier: str, model: Model, body: dict[str, Any], client: Client
    ) -> AbstractContextManager[Answer]:
        """As Admission.submit; with a key that is known, as Admission.rejoin.

        Raises IdempotencyMismatch if the key is that of another request.
        """
        if key is None:
            return self._admission.submit(holder, tier, model, body, client)
        if not key.isprintable() or not 0 < len(key) <= LONGEST:
            raise InvalidRequest(f"Idempotency-Key: should be 1 to {LONGEST} printable characters")
        client = replace(client, again=COMING_BACK)
        job_id, digest = new_job_id(), _digest(tier, model.id, body)
        with reaching_queue():
            known = self._claim(holder, key, f"{job_id} {digest}")
        if known is None:
            return self._admission.submit(holder, tier, model, body, client, job_id)
        other, other_digest = known.split(" ")
        if digest != other_digest:
            raise IdempotencyMismatch
        return self._admission.rejoin(holder, other, client)

    def _claim(self, holder: Holder, key: str, mine: str) -> str | None:
        """Take the key for a new job; what it was taken for already, if it was."""
        name = keys.idempotency(holder.account, hashlib.sha256(key.encode()).hexdigest())
        while True:
            known: Any = self._redis.set(name, mine, nx=True, get=True, ex=self._ttl)
            if known is None or self._stands(known.decode().split(" ")[0]):
                return None if known is None else str(known.decode())
            # It was refused at the door, or given up, and may be sent again.
            if self._replace(keys=[name], args=[known, mine, self._ttl]):
                return None

    def _stands(self, job_id: str) -> bool:
        """Whether there is such a job, and it was not given up because its client had left.

        One whose key was just taken is about to be admitted, or refused.
        """
        deadline = time.monotonic() + ADMITTED
        while (fate := self._admission.fate(job_id)) == "unknown" and time.monotonic() <= deadline:
            gevent.sleep(0.05)
        return fate == "stands"


def _digest(*parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
