"""What every dialect reads from an HTTP request: the key, what its client is like, and a JSON body."""

import re
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from flask import current_app, request

from gateway.admission import MOST_GRACE, Answer, Client
from gateway.bodies import parse_json
from gateway.http import PRESENCE
from shared.errors import BodyTooLarge, InvalidKey, InvalidRequest, UnsupportedMedia

Asked = tuple[AbstractContextManager[Answer], bool]
"""What a request asks for, and whether as a stream. Made in a function of its own, which is left before the answer
is waited for: that may take long, and the request's body is held only there."""

JOB_TIMEOUT = "JOB_TIMEOUT"
"""In the application's configuration: seconds that a job has at most."""


def api_key() -> str:
    """The key in X-API-Key, or in Authorization: Bearer. Raises InvalidKey if there is none."""
    if key := request.headers.get("X-API-Key", "").strip():
        return key
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    raise InvalidKey("No API key: send it in the X-API-Key header, or as Authorization: Bearer.")


def idempotency_key() -> str | None:
    return request.headers.get("Idempotency-Key")


def leaving_client() -> Client:
    """A client of this request that does not come back."""
    return Client(presence=request.environ[PRESENCE], timeout=_timeout())


def waiting_client() -> Client:
    """A client of this request that says how long it may stay away: `X-Resume-Within: 30`, in seconds."""
    within = request.headers.get("X-Resume-Within", "0")
    if not within.isdecimal() or int(within) > MOST_GRACE:
        raise InvalidRequest(f"X-Resume-Within: should be whole seconds up to {MOST_GRACE}, got {within[:20]!r}")
    return replace(leaving_client(), grace=float(within))


def _timeout() -> float | None:
    """What a request says of its job's time: `X-Request-Timeout: 30`, in seconds. Only a POST begins a job."""
    seconds = request.headers.get("X-Request-Timeout")
    if seconds is None or request.method != "POST":
        return None
    most: float = current_app.config[JOB_TIMEOUT]
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", seconds) or not 1 <= float(seconds) <= most:
        raise InvalidRequest(f"X-Request-Timeout: should be seconds from 1 to {most:g}, got {seconds[:20]!r}")
    return float(seconds)


def json_body() -> dict[str, Any]:
    """The body. Raises UnsupportedMedia, BodyTooLarge or InvalidRequest."""
    if not request.is_json:
        raise UnsupportedMedia
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMedia("Content-Encoding: compressed bodies are not read; send the body as it is.")
    most = request.max_content_length
    assert most is not None
    # A body that is sent in parts does not tell its length, and werkzeug cuts it at the bound without a word.
    request.max_content_length = most + 1
    data = request.get_data(cache=False)  # it would be kept for as long as the answer takes
    if len(data) > most:
        raise BodyTooLarge(f"The body may have {most} bytes.")
    return parse_json(data)
