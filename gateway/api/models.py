"""GET /v1/models: the catalogue, what its workers say of themselves, and how fast their streams were."""

import time
from collections.abc import Collection
from typing import Any

from flask import Blueprint, Response, jsonify

from gateway.outages import reaching_queue
from gateway.roster import Roster
from gateway.speeds import HOUR, WINDOW, Speed, Speeds
from shared.catalog import Catalog, Model
from shared.lines import Lines
from shared.registry import Report

CREATED = 1_795_564_800
"""2026-11-25, the catalogue's first day, in Unix seconds. OpenAI has a time for each; all gateways tell this."""


def models_api(catalog: Catalog, lines: Lines, roster: Roster, speeds: Speeds) -> Blueprint:
    api = Blueprint("models", __name__)

    def entries(models: list[Model]) -> list[dict[str, Any]]:
        with reaching_queue():
            workers, waiting = roster.workers(), lines.waiting([model.id for model in models])
        return [_entry(model, workers, count) for model, count in zip(models, waiting, strict=True)]

    @api.get("/v1/models")
    def models() -> Response:
        return jsonify(object="list", data=entries(list(catalog.models.values())))

    @api.get("/v1/models/<path:name>")
    def one(name: str) -> Response:
        return jsonify(entries([catalog.find(name)])[0])

    @api.get("/v1/models/<path:name>/stats")
    def stats(name: str) -> Response:
        model = catalog.find(name)
        with reaching_queue():
            day, ever = speeds.read(model.id, time.time())
        return jsonify(
            id=model.id,
            object="model.stats",
            window_seconds=WINDOW * HOUR,
            tokens_per_second=speed_told(day),
            ever=ever_told(ever),
        )

    return api


def speed_told(speed: Speed | None) -> dict[str, Any]:
    """Of streams from their first token to their last; nothing is told that was not measured."""
    if speed is None:
        return {"streams": 0, "average": None, "low": None, "high": None}
    told = {"average": speed.average, "low": speed.low, "high": speed.high}
    return {"streams": speed.streams} | {name: round(value, 1) for name, value in told.items()}


def ever_told(speed: Speed | None) -> dict[str, Any]:
    """The same of all time, and when the first of those streams ended, in Unix seconds."""
    return speed_told(speed) | {"since": int(speed.since) if speed else None}


def pool_state(states: Collection[str]) -> str:
    """The state of a pool whose workers have these: that of the best; "cold" if it has none."""
    return next((state for state in ("ready", "loading", "draining") if state in states), "cold")


def _entry(model: Model, workers: list[Report], waiting: int) -> dict[str, Any]:
    """OpenAI's fields, vLLM's `max_model_len`, and ours. Image models have no tokens to count."""
    mine = [worker for worker in workers if worker.model == model.id]
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "crofai",
        "kind": model.kind,
        "description": model.description,
        "aliases": model.aliases,
        "context": model.context,
        "max_model_len": model.context or None,
        "max_tokens": model.max_tokens or None,
        "state": pool_state({worker.state for worker in mine}),
        "workers": len(mine),
        "running": sum(worker.running for worker in mine),
        "waiting": waiting,
        "tokens_per_second": round(sum(worker.tokens_per_second for worker in mine), 1),
    }
