"""GET /v1/admin/pools: each model's workers and jobs now, and how soon its last answers began."""

import math
import time
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify

from gateway.api.requests import admin_holder
from gateway.auth import Keyring
from gateway.outages import reaching_queue
from gateway.pools import Pools
from gateway.threads import Threads
from shared.errors import AccountsUnreachable
from shared.ledger import Ledger

RECENT = 600.0  # seconds, of which first chunks are looked at
FRESH = 5.0  # seconds


def pools_api(keyring: Keyring, pools: Pools, ledger: Ledger, threads: Threads) -> Blueprint:
    api = Blueprint("pools", __name__)
    firsts = _Firsts(ledger, threads)

    @api.get("/v1/admin/pools")
    def all_pools() -> Response:
        admin_holder(keyring)
        with reaching_queue():
            found = pools.all()
        recent = firsts.read()
        data = [asdict(pool) | {"ttft_seconds": _ttft(recent.get(pool.model, []))} for pool in found]
        return jsonify(object="list", data=data)

    return api


class _Firsts:
    """How soon answers began, by model, read every some seconds at most: it is many rows of a database."""

    def __init__(self, ledger: Ledger, threads: Threads) -> None:
        self._ledger = ledger
        self._threads = threads
        self._read = -math.inf
        self._found: dict[str, list[float]] = {}

    def read(self) -> dict[str, list[float]]:
        """Seconds; none while the database is away."""
        if time.monotonic() - self._read >= FRESH:
            self._read = time.monotonic()
            try:
                self._found = self._threads.ask(lambda: self._ledger.firsts(time.time() - RECENT))
            except AccountsUnreachable:
                self._found = {}
        return self._found


def _ttft(seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    places = {name: math.ceil(share * len(ordered)) - 1 for name, share in SHARES}
    told = {name: round(ordered[place], 4) if ordered else None for name, place in places.items()}
    return {"count": len(ordered), **told}


SHARES = (("p50", 0.5), ("p99", 0.99))
