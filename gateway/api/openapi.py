"""GET /openapi.json: the API's description. GET /docs: Swagger UI, to read it and to try what it says.

Swagger UI's files are those that the package flask-swagger-ui carries; its own page has a script inside, which our
policy forbids.
"""

from pathlib import Path

import flask_swagger_ui
import msgspec
from flask import Blueprint, Response, request, send_from_directory

from gateway.api.pages import HEADERS, WEB
from gateway.openapi import document
from shared.tiers import Tiers

SWAGGER = Path(flask_swagger_ui.__file__).parent / "dist"
FRESH = 300  # seconds
# Swagger UI's style sheet has its icons inside.
POLICY = {"Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; img-src 'self' data:"}


def openapi_api(job_timeout: float, tiers: Tiers) -> Blueprint:
    """A job has `job_timeout` seconds at most."""
    api = Blueprint("openapi", __name__)
    described = msgspec.json.encode(document(job_timeout, [tier.id for tier in tiers.all]))

    @api.get("/openapi.json")
    def description() -> Response:
        response = Response(described, mimetype="application/json")
        response.cache_control.public = True
        response.cache_control.max_age = FRESH
        response.add_etag()
        response.make_conditional(request)
        return response

    @api.get("/docs")
    def page() -> Response:
        return send_from_directory(WEB, "docs.html")

    @api.get("/docs/<any('swagger-ui.css', 'swagger-ui-bundle.js'):name>")
    def asset(name: str) -> Response:
        return send_from_directory(SWAGGER, name)

    @api.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS | POLICY)
        return response

    return api
