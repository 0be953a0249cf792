"""What every dialect reads from an HTTP request: the key, and a JSON body."""

from collections.abc import Callable
from typing import Any, cast

from flask import request

from gateway.bodies import parse_json
from gateway.server import LEFT
from shared.errors import BodyTooLarge, InvalidKey, UnsupportedMedia


def api_key() -> str:
    """The key in X-API-Key, or in Authorization: Bearer. Raises InvalidKey if there is none."""
    if key := request.headers.get("X-API-Key", "").strip():
        return key
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    raise InvalidKey("No API key: send it in the X-API-Key header, or as Authorization: Bearer.")


def client_left() -> Callable[[], bool]:
    """Tells, whenever it is called, whether the client of this request has closed its end."""
    return cast("Callable[[], bool]", request.environ.get(LEFT, lambda: False))


def json_body() -> dict[str, Any]:
    """The body. Raises UnsupportedMedia, BodyTooLarge or InvalidRequest."""
    if not request.is_json:
        raise UnsupportedMedia
    most = request.max_content_length
    assert most is not None
    # A body that is sent in parts does not tell its length, and werkzeug cuts it at the bound without a word.
    request.max_content_length = most + 1
    data = request.get_data()
    if len(data) > most:
        raise BodyTooLarge
    return parse_json(data)
