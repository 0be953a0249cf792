"""The page at /: the documentation, the models that are up, and a chat box. All static."""

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

WEB = Path(__file__).parent.parent / "web"


def pages_api() -> Blueprint:
    api = Blueprint("pages", __name__)

    @api.get("/")
    def index() -> Response:
        return send_from_directory(WEB, "index.html")

    @api.get("/web/<path:name>")
    def asset(name: str) -> Response:
        return send_from_directory(WEB, name)

    return api
