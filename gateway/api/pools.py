"""GET /v1/admin/pools: each model's workers and jobs now, and how soon its last answers began."""

import time
from dataclasses import asdict
from math import ceil
from typing import Any

from flask import Blueprint, Response, jsonify

from gateway.api.requests import key_holder
from gateway.auth import Keyring
from gateway.outages import reaching_queue
from gateway.pools import Pools
from gateway.threads import Threads
from shared.errors import AdminRequired
from shared.ledger import Ledger

RECENT = 600.0  # seconds, of which first chunks are looked at


def pools_api(keyring: Keyring, pools: Pools, ledger: Ledger, threads: Threads) -> Blueprint:
    api = Blueprint("pools", __name__)

    @api.get("/v1/admin/pools")
    def all_pools() -> Response:
        if not key_holder(keyring).admin:
            raise AdminRequired
        with reaching_queue():
            found = pools.all()
        firsts = threads.ask(lambda: ledger.firsts(time.time() - RECENT))
        return jsonify(
            object="list",
            data=[asdict(pool) | {"ttft_seconds": _ttft(firsts.get(pool.model, []))} for pool in found],
        )

    return api


def _ttft(seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        **{name: round(ordered[ceil(share * len(ordered)) - 1], 4) if ordered else None for name, share in SHARES},
    }


SHARES = (("p50", 0.5), ("p99", 0.99))
