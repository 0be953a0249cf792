"""A small request to each model that has a worker, now and then: whether it is answered is what counts.

Every part may be up, and nothing come of it. Canaries go the way of all requests, at the best tier, as the account
`canary`; they start no workers, and keep none. One gateway at a time sends them; what came of it is in Redis, for
all to tell; how often they were answered is kept for longer (gateway/uptime.py).
"""

import logging
import math
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import gevent
import msgspec
import redis
from gevent.pool import Pool
from redis.exceptions import RedisError

from gateway.admission import Admission, Client
from gateway.roster import Roster
from gateway.uptime import Uptime
from shared import redis_keys as keys
from shared.accounts import Holder
from shared.catalog import Model
from shared.errors import GatewayStopping, QueueFull, QueueUnreachable, RequestError
from shared.ledger import CANARIES
from shared.tiers import Tiers

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds for an answer
AT_ONCE = 8  # models
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 4, "temperature": 0},
    "image": {"prompt": "a dot", "n": 1, "steps": 1},
}
"""By the model's kind."""


UNTOLD = (GatewayStopping, QueueFull, QueueUnreachable)
"""After these, nothing is known of a model's workers."""


class Result(msgspec.Struct, frozen=True):
    """What came of a model's last canary: how many seconds it took, and when it ended (Unix seconds)."""

    success: bool
    seconds: float
    at: float


class Canaries:
    """`interval` is in seconds, between two to one model; 0 is never."""

    def __init__(
        self,
        client: "redis.Redis",
        admission: Admission,
        roster: Roster,
        tiers: Tiers,
        models: Iterable[Model],
        interval: float,
    ) -> None:
        self._redis = client
        self._uptime = Uptime(client)
        self._admission = admission
        self._roster = roster
        self._tier = tiers.best.id
        self._models = list(models)
        self._interval = interval
        self._old = 3 * interval + PATIENCE

    def run(self) -> None:
        """Until killed."""
        while True:
            gevent.sleep(self._interval or math.inf)
            try:
                if self._redis.set(keys.CANARY_MUTEX, 1, nx=True, px=int(900 * self._interval)):
                    self.send()
            except RedisError as error:
                log.warning("no canaries are sent: %s", error)

    def send(self) -> None:
        """One to each model that has a ready worker. Raises redis errors."""
        ready = {report.model for report in self._roster.workers() if report.state == "ready"}
        Pool(AT_ONCE).map(self._try, [model for model in self._models if model.id in ready])

    def results(self) -> dict[str, Result]:
        """By model, what came of the last ones; of those that are old, nothing. Raises redis errors."""
        if not self._interval:
            return {}
        found: Any = self._redis.hgetall(keys.CANARY)
        results = {name.decode(): _read(each) for name, each in found.items()}
        return {name: each for name, each in results.items() if each and each.at > time.time() - self._old}

    def _try(self, model: Model) -> None:
        begun = time.time()
        try:
            success = self._is_answered(model)
        except UNTOLD as error:
            log.warning("the canary of %s tells nothing: %s", model.id, error)
            return
        result = Result(success, round(time.time() - begun, 3), time.time())
        with suppress(RedisError):
            self._note(model.id, result)

    def _note(self, model: str, result: Result) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.CANARY, model, msgspec.json.encode(result))
            pipe.expire(keys.CANARY, math.ceil(self._old))
            pipe.execute()
        self._uptime.note(model, result.success, result.at)

    def _is_answered(self, model: Model) -> bool:
        """Whether it says, or draws, anything. Raises what is no fault of its workers."""
        holder = Holder(account=CANARIES, key=CANARIES, tier=self._tier)
        body = {"model": model.id} | BODIES[model.kind]
        client = Client(timeout=PATIENCE, apart=True)
        try:
            with self._admission.submit(holder, self._tier, model, body, client) as answer:
                for _ in answer:
                    pass
        except UNTOLD:
            raise
        except RequestError as error:
            log.error("the canary of %s: %s", model.id, error)
            return False
        return answer.end is not None and answer.end.usage.completion_tokens + answer.end.usage.image_steps > 0


def _read(data: bytes) -> Result | None:
    """None if it is of another version's making."""
    try:
        return msgspec.json.decode(data, type=Result)
    except msgspec.DecodeError:
        return None
