"""The page at /: the documentation, the models that are up, and a chat box. All static."""

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

WEB = Path(__file__).parent.parent / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def pages_api() -> Blueprint:
    api = Blueprint("pages", __name__)

    @api.get("/")
    def index() -> Response:
        return send_from_directory(WEB, "index.html")

    @api.get("/web/<path:name>")
    def asset(name: str) -> Response:
        return send_from_directory(WEB, name)

    @api.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    @api.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    return api
