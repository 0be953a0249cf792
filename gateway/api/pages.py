"""The pages at /, which has the documentation and a chat box, /status and /playground. All static."""

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

WEB = Path(__file__).parent.parent / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# Images are made there: their page shows them from memory.
PICTURES = f"{HEADERS['Content-Security-Policy']}; img-src 'self' blob: data:"


def pages_api() -> Blueprint:
    api = Blueprint("pages", __name__)

    @api.get("/")
    def index() -> Response:
        return send_from_directory(WEB, "index.html")

    @api.get("/status")
    def status() -> Response:
        return send_from_directory(WEB, "status.html")

    @api.get("/playground")
    def playground() -> Response:
        response = send_from_directory(WEB, "playground.html")
        response.headers["Content-Security-Policy"] = PICTURES
        return response

    @api.get("/web/<path:name>")
    def asset(name: str) -> Response:
        return send_from_directory(WEB, name)

    @api.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    @api.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return api
