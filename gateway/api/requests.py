"""What every dialect reads from an HTTP request: the key, and a JSON body."""

import math
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
    data = request.get_data()
    # A body that is sent in parts has no length, and is cut at the bound.
    if request.content_length is None and len(data) >= (request.max_content_length or math.inf):
        raise BodyTooLarge
    return parse_json(data)
