"""GET /openapi.json: the API's description. The page /reference shows it."""

import msgspec
from flask import Blueprint, Response, request

from gateway.openapi import document
from shared.tiers import Tiers

FRESH = 300  # seconds


def openapi_api(job_timeout: float, tiers: Tiers) -> Blueprint:
    """A job has `job_timeout` seconds at most."""
    api = Blueprint("openapi", __name__)
    described = msgspec.json.encode(document(job_timeout, [tier.id for tier in tiers.all]))

    @api.get("/openapi.json")
    def description() -> Response:
        response = Response(described, mimetype="application/json")
        response.cache_control.public = True
        response.cache_control.max_age = FRESH
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.add_etag()
        response.make_conditional(request)
        return response

    return api
