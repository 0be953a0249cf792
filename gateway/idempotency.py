"""`Idempotency-Key`: the same request, sent again, is the same job. Hop 2.

A client that does not know whether its request arrived sends it again with the same key, and joins the job that
runs, or gets the answer that it has had. So the job of a client that is cut off goes on for a while; one that was
cancelled because nobody came is begun anew. Keys are an account's own, and are kept as long as its job can be.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import gevent
import msgspec
import redis
from redis.exceptions import RedisError

from gateway.admission import REFUSALS, Admission, Answer, Client, GivenUp
from gateway.outages import reaching_queue
from shared import redis_keys as keys
from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import IdempotencyMismatch, InvalidRequest
from shared.messages import Kind, new_job_id
from shared.scripts import script
from shared.settings import Settings

log = logging.getLogger(__name__)

LONGEST = 255  # characters
COMING_BACK = 20.0  # seconds that a client has to send its request again
ADMITTED = 2.0  # seconds in which a job is admitted, once its key is taken


@dataclass(frozen=True)
class _Claim:
    """What a request wants a key to stand for: a new job, and all that the request says."""

    name: str
    job_id: str
    digest: str

    @property
    def value(self) -> str:
        return f"{self.job_id} {self.digest}"


class Idempotency:
    """Admission, for requests that may come twice."""

    def __init__(self, settings: Settings, client: "redis.Redis", admission: Admission) -> None:
        self._redis = client
        self._admission = admission
        self._replace = client.register_script(script("replace"))
        self._ttl = int(settings.job_timeout + settings.log_ttl)

    def submit(
        self,
        key: str | None,
        holder: Holder,
        tier: str,
        model: Model,
        body: dict[str, Any],
        client: Client,
        kind: Kind | None = None,
    ) -> AbstractContextManager[Answer]:
        """As Admission.submit; with a key that is known, as Admission.rejoin.

        Raises IdempotencyMismatch, once it is entered, if the key is that of another request.
        """
        if key is None:
            return self._admission.submit(holder, tier, model, body, client, kind=kind)
        if not key.isprintable() or not 0 < len(key) <= LONGEST:
            raise InvalidRequest(f"Idempotency-Key: should be 1 to {LONGEST} printable characters")
        client = replace(client, again=COMING_BACK)
        claim = _Claim(_name(holder, key), new_job_id(), _digest(tier, model.id, body))
        first = self._admission.submit(holder, tier, model, body, client, claim.job_id, kind)
        return self._once(claim, holder, client, first)

    @contextmanager
    def _once(
        self, claim: _Claim, holder: Holder, client: Client, first: AbstractContextManager[Answer]
    ) -> Iterator[Answer]:
        """The answer of the job that the key stands for; if that is this request's own, `first` begins it."""
        with ExitStack() as stack:
            answer = self._rejoin(stack, claim, holder, client) or self._begin(stack, claim, first)
            del first  # as long as it is not entered it has the prompt
            yield answer

    def _begin(self, stack: ExitStack, claim: _Claim, first: AbstractContextManager[Answer]) -> Answer:
        try:
            return stack.enter_context(first)
        except REFUSALS:
            self._release(claim)
            raise

    def _rejoin(self, stack: ExitStack, claim: _Claim, holder: Holder, client: Client) -> Answer | None:
        """The answer of the job that the key stands for; None if that is this request's own, from now on."""
        while True:
            with reaching_queue():
                known = self._take(claim)
            if known is None:
                return None
            # If it is given up in just this moment, the key can be taken.
            with suppress(GivenUp):
                return stack.enter_context(self._admission.rejoin(holder, known, client))

    def _take(self, claim: _Claim) -> str | None:
        """Take the key for a new job; the id of the one it was taken for already, if that stands."""
        deadline = time.monotonic() + ADMITTED
        while True:
            known: Any = self._redis.set(claim.name, claim.value, nx=True, get=True, ex=self._ttl)
            if known is None:
                return None
            job_id, digest = known.decode().split(" ")
            fate = self._admission.fate(job_id)
            if fate == "stands":
                if digest != claim.digest:
                    raise IdempotencyMismatch
                return str(job_id)
            # It was given up, or its gateway never said that it was refused.
            if fate == "left" or time.monotonic() > deadline:
                if self._replace(keys=[claim.name], args=[known, claim.value, self._ttl]):
                    return None
            else:
                # It is about to be admitted, or refused.
                gevent.sleep(0.05)

    def _release(self, claim: _Claim) -> None:
        """Its request was refused: the key is free again."""
        try:
            self._replace(keys=[claim.name], args=[claim.value])
        except RedisError as error:
            log.warning("the key of a request that was refused stays taken for a while: %s", error)


def _name(holder: Holder, key: str) -> str:
    return keys.idempotency(holder.account, hashlib.sha256(key.encode()).hexdigest())


def _digest(*parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
