"""GET /v1/models: the catalogue, and what its workers say of themselves. GET /health."""

import time
from typing import Any

import redis
from flask import Blueprint, Response, jsonify

from shared import queues
from shared.catalog import Catalog, Model
from shared.errors import QueueUnreachable
from shared.registry import Registry, Report


def models_api(catalog: Catalog, client: "redis.Redis") -> Blueprint:
    api = Blueprint("models", __name__)
    registry = Registry(client)
    started = int(time.time())

    @api.get("/v1/models")
    def models() -> Response:
        try:
            workers = registry.workers()
            data = [_entry(model, workers, client, started) for model in catalog.models.values()]
        except redis.RedisError as error:
            raise QueueUnreachable from error
        return jsonify(object="list", data=data)

    @api.get("/v1/models/<name>")
    def one(name: str) -> Response:
        model = catalog.find(name)
        try:
            return jsonify(_entry(model, registry.workers(model.id), client, started))
        except redis.RedisError as error:
            raise QueueUnreachable from error

    @api.get("/health")
    def health() -> Response:
        try:
            client.ping()
        except redis.RedisError as error:
            raise QueueUnreachable from error
        return jsonify(status="ok")

    return api


def _entry(model: Model, workers: list[Report], client: "redis.Redis", started: int) -> dict[str, Any]:
    mine = [worker for worker in workers if worker.model == model.id]
    return {
        "id": model.id,
        "object": "model",
        "created": started,
        "owned_by": "crofai",
        "kind": model.kind,
        "description": model.description,
        "aliases": model.aliases,
        "context": model.context,
        "state": _state(mine),
        "workers": len(mine),
        "running": sum(worker.running for worker in mine),
        "waiting": queues.depth(client, model.id) if mine else 0,
        "tokens_per_second": round(sum(worker.tokens_per_second for worker in mine), 1),
    }


def _state(workers: list[Report]) -> str:
    """The state of the pool: that of its best worker; "cold" if it has none."""
    states = {worker.state for worker in workers}
    return next((state for state in ("ready", "loading", "draining") if state in states), "cold")
