"""The pages, their style sheets and scripts. Swagger UI's are those that the package flask-swagger-ui carries; its
own page has a script inside, which our policy forbids."""

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, redirect, request, send_from_directory
from werkzeug.wrappers import Response as Redirection

from gateway.api.errors import LONGEST, ErrorPage
from gateway.site import PAGES, WEB, Site
from shared.messages import Failure

SWAGGER = Path(flask_swagger_ui.__file__).parent / "dist"
POLICY = "default-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PICTURES = {
    "/playground": "img-src 'self' blob:",  # images are made there, and shown from memory
    "/reference": "img-src 'self' data:",  # Swagger UI's style sheet has its icons inside
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def pages_api(site: Site) -> Blueprint:
    api = Blueprint("pages", __name__)

    def page() -> Response:
        return _kept(Response(site.html(request.path), mimetype="text/html"))

    for address in PAGES:
        api.add_url_rule(address, address.strip("/") or "index", page)

    @api.get("/docs")
    def docs() -> Redirection:
        return redirect("/")

    @api.get("/llms.txt")
    def summary() -> Response:
        return _kept(Response(site.summary(), mimetype="text/plain"))

    @api.get("/web/<path:name>")
    def asset(name: str) -> Response:
        return send_from_directory(WEB, name)

    @api.get("/web/swagger/<any('swagger-ui.css', 'swagger-ui-bundle.js'):name>")
    def swagger(name: str) -> Response:
        return send_from_directory(SWAGGER, name)

    @api.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    api.after_request(_protected)
    return api


def error_page(site: Site) -> ErrorPage:
    def page(failure: Failure, near: str | None) -> Response:
        html = site.error(failure, request.path[:LONGEST], near)
        return _protected(Response(html, mimetype="text/html"))

    return page


def _protected(response: Response) -> Response:
    pictures = PICTURES.get(request.path)
    response.headers["Content-Security-Policy"] = f"{POLICY}; {pictures}" if pictures else POLICY
    response.headers.update(HEADERS)
    return response


def _kept(response: Response) -> Response:
    response.cache_control.no_cache = True  # a copy may be kept, and is asked after
    response.add_etag()
    response.make_conditional(request)
    return response
