"""GET /v1/admin/plan: what `crofai plan` plans from the ledger, in a process of its own, as it may take long."""

import logging
import re
import sys
import time
from typing import Any

import msgspec
from cachetools import TTLCache
from flask import Blueprint, Response, jsonify
from gevent import subprocess as cooperative
from gevent.lock import BoundedSemaphore

from gateway.api.query import flag, query
from gateway.api.requests import admin_holder
from gateway.auth import Keyring
from gateway.bodies.shapes import refusal
from gateway.outages import reaching_queue
from gateway.planning.since import parse_since
from gateway.planning.wish import LONGEST, Failed, Made, Wish
from gateway.pools import Pools
from shared.errors import AccountsUnreachable, NotFound, RequestError, Timeout
from shared.settings import Settings

log = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds that one waits for plans that others have asked for
FRESH = 60.0  # seconds for which one is told again
MOST_DAYS = 92
MOST_GPUS = 100_000
COMMAND = [sys.executable, "-m", "gateway.planning"]


def plan_api(keyring: Keyring, desk: "PlanDesk") -> Blueprint:
    api = Blueprint("plan", __name__)

    @api.get("/v1/admin/plan")
    def plan() -> Response:
        admin_holder(keyring)
        given = query("gpus", "since", "share", "within", "by_hour")
        return jsonify({"object": "plan", "since": given.get("since", "7d")} | desk.plan(given))

    return api


class PlanDesk:
    """Has plans made, one after another. One that is asked for again within a minute is told again."""

    def __init__(self, settings: Settings, pools: Pools, clock: Any = time.monotonic) -> None:
        self._settings = settings
        self._pools = pools
        self._kept: TTLCache[tuple[Any, ...], dict[str, Any]] = TTLCache(16, FRESH, timer=clock)
        self._making = BoundedSemaphore(1)

    def plan(self, given: dict[str, str]) -> dict[str, Any]:
        """Raises InvalidRequest, NotFound, Timeout, AccountsUnreachable and QueueUnreachable."""
        asked = (
            _number(given, "gpus", None, 1, MOST_GPUS, whole=True),
            _seconds(given.get("since", "7d")),
            _number(given, "share", 0.95, 0.01, 1),
            _number(given, "within", 10, 0, 86_400),
            flag(given, "by_hour"),
        )
        if kept := self._kept.get(asked):
            return kept
        if not self._making.acquire(timeout=PATIENCE):
            raise Timeout("Other plans are being made. Try again in a minute.")
        try:
            made = self._kept.get(asked) or self._make(*asked)
            self._kept[asked] = made
            return made
        finally:
            self._making.release()

    def _make(self, gpus: float, seconds: float, share: float, within: float, by_hour: bool) -> dict[str, Any]:
        models, tiers = self._settings.models_file, self._settings.tiers_file
        with reaching_queue():
            running = [pool.model for pool in self._pools.all() if any(pool.workers.values())]
        wish = Wish(
            url=self._settings.sql_url,
            models_file=None if models is None else str(models.absolute()),
            tiers_file=None if tiers is None else str(tiers.absolute()),
            gpus=int(gpus),
            seconds=seconds,
            share=share,
            within=within,
            by_hour=by_hour,
            running=running,
        )
        told = _told(run(msgspec.json.encode(wish)))
        if isinstance(told, Failed):
            raise failure(told)
        return told.plan | {"unplanned": told.unplanned}


def run(wish: bytes) -> bytes:
    """What the other process says. Raises Timeout."""
    pipe = cooperative.PIPE
    with cooperative.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            told, wrong = process.communicate(wish, timeout=LONGEST)
        except cooperative.TimeoutExpired:
            raise Timeout(f"The plan took more than {LONGEST:g} s. Look back less far: ?since=1d") from None
        finally:
            if process.poll() is None:
                process.kill()
        if process.returncode:
            log.error("a plan failed: %s", wrong.decode(errors="replace")[-2000:])
            raise RequestError("internal error")
    return bytes(told)


def _told(data: bytes) -> Made | Failed:
    return msgspec.json.decode(data, type=Made | Failed)


def failure(failed: Failed) -> RequestError:
    match failed.why:
        case "used":
            return NotFound(f"{failed.message[:1].upper()}{failed.message[1:]}.")
        case "much":
            return refusal("since", failed.message)
        case "gpus":
            return refusal("gpus", failed.message)
        case _:
            log.error("%s", failed.message)
            return AccountsUnreachable()


def _number(
    given: dict[str, str], name: str, usual: float | None, least: float, most: float, *, whole: bool = False
) -> float:
    text = given.get(name)
    if text is None and usual is not None:
        return usual
    pattern = "[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,9})?"
    if text is None or not re.fullmatch(pattern, text) or not least <= float(text) <= most:
        kind = "a whole number" if whole else "a number"
        got = "" if text is None else f", got {text[:20]!r}"
        raise refusal(name, f"should be {kind} from {least:g} to {most:g}{got}")
    return float(text)


def _seconds(text: str) -> float:
    if (seconds := parse_since(text, MOST_DAYS)) is None:
        raise refusal("since", f"should be such as 36h, 7d or 4w, and at most {MOST_DAYS}d, got {text[:20]!r}")
    return seconds
