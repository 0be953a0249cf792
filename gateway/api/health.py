"""GET /health, /health/live and /health/ready: for people, and for what starts, stops and asks gateways."""

from collections.abc import Callable

import redis
from flask import Blueprint, Response, jsonify

from gateway.outages import reaching_queue
from shared.errors import QueueUnreachable


def health_api(client: "redis.Redis", has_listened: Callable[[], bool]) -> Blueprint:
    """`has_listened` tells whether this gateway has ever heard its chunks."""
    api = Blueprint("health", __name__)

    @api.get("/health")
    def health() -> Response:
        with reaching_queue():
            client.ping()
        return jsonify(status="ok")

    @api.get("/health/live")
    def live() -> Response:
        return jsonify(status="ok")

    @api.get("/health/ready")
    def ready() -> Response:
        # Not whether Redis or the database answers now: clients are to be told that, with when to come again, and
        # with all gateways out of service nobody would tell them. Known keys outlast the database, too.
        if not has_listened():
            raise QueueUnreachable("This gateway has not reached Redis yet.")
        return jsonify(status="ok")

    return api
