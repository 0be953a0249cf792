"""Errors as clients see them: `{"error": {"code", "message", "type", "param"}}` with the right status.

Who has gone astray with a browser is shown a page instead.
"""

import difflib
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as NotFoundHere

from gateway import metrics
from shared import errors
from shared.errors import InvalidRequest, RequestError
from shared.messages import Failure

log = logging.getLogger(__name__)

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_HTTP: dict[int, type[RequestError]] = {
    400: errors.MalformedRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMedia,
}

SHOULD_RETRY = "x-should-retry"
"""The header by which OpenAI's and Anthropic's clients are told whether to send a request again by themselves."""

FINAL = {errors.IdempotencyMismatch.code, errors.NameTaken.code, errors.TooManyKeys.code, errors.Timeout.code}
"""Failures that would be the same again, and have a status after which those clients try again."""

LONGEST = 80  # characters of an address in a message
CLOSE = 0.75  # of 1, for an address that is the same

Shape = Callable[[Failure], dict[str, Any]]
ErrorPage = Callable[[Failure, str | None], Response]
"""What people are shown of a failure, and of the address that they may have meant."""


def error_body(failure: Failure) -> dict[str, Any]:
    """A failure in OpenAI's shape."""
    kind = _KINDS.get(failure.status, "invalid_request_error" if failure.status < 500 else "server_error")
    error = {"code": failure.code, "message": failure.message, "type": kind, "param": failure.param}
    return {"error": error}


def error_json(error: RequestError) -> bytes:
    """The same, as it is sent."""
    return msgspec.json.encode(error_body(error.failure()))


def _methods(error: HTTPException) -> str | None:
    """Which methods an address takes, if that is what a request was wrong in."""
    if not isinstance(error, MethodNotAllowed):
        return None
    takes = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
    return f"This address does not take {request.method[:20]}; it takes {' and '.join(takes)}."


def _nearest(error: HTTPException) -> str | None:
    """An address that there is, like the one where there is nothing."""
    if not isinstance(error, NotFoundHere):
        return None
    rules = [rule for rule in current_app.url_map.iter_rules() if not rule.arguments and rule.rule != "/"]
    there = [rule.rule for rule in rules if "not_offered" not in rule.endpoint]
    return next(iter(difflib.get_close_matches(request.path[:LONGEST].rstrip("/"), there, 1, CLOSE)), None)


def _meant(near: str | None) -> str | None:
    if near is None:
        return None
    return f"There is nothing at {request.path[:LONGEST]}: did you mean {near}? The API is described at /."


def _bound(error: HTTPException) -> str | None:
    """How large a body may be, if one is larger."""
    most = current_app.config["MAX_CONTENT_LENGTH"]
    return f"The body may have {most} bytes." if isinstance(error, RequestEntityTooLarge) else None


def _is_for_people() -> bool:
    """Whether a page is asked for, as browsers do. Programs take JSON, or whatever comes."""
    accepts = request.accept_mimetypes
    wants_page = accepts.quality("text/html") > accepts.quality("application/json")
    return wants_page and not request.path.startswith("/v1/")


def retry_headers(error: RequestError) -> dict[str, str]:
    """When to try again, if that may help, or that it cannot, and what is left of the client's limits."""
    again = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.failure().code in FINAL:
        again[SHOULD_RETRY] = "false"
    return again | error.headers


def install(app: Flask, shape: Shape = error_body, page: ErrorPage | None = None) -> None:
    """Turn every error that a view raises, or that keeps a request from any, into JSON of this shape.

    Of an address or a method that is wrong, people are shown this page.
    """

    def response(failure: Failure, headers: dict[str, str], shown: Response | None = None) -> Response:
        response = shown or jsonify(shape(failure))
        response.status_code = failure.status
        response.headers.update(headers)
        return response

    @app.errorhandler(RequestError)
    def request_error(error: RequestError) -> Response:
        if not request.path.startswith("/health"):
            metrics.refused(error)
        return response(error.failure(), retry_headers(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        # Such as Allow, which tells the methods that an address does take.
        headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        status = error.code or 500
        near = _nearest(error)
        words = _methods(error) or _meant(near) or _bound(error)
        known = _HTTP.get(status, InvalidRequest if status < 500 else RequestError)(words)
        metrics.refused(known)
        astray = isinstance(error, NotFoundHere | MethodNotAllowed) and _is_for_people()
        shown = page(known.failure(), near) if page and astray else None
        return response(known.failure(), headers, shown)

    @app.errorhandler(RecursionError)
    def too_deep(_: RecursionError) -> Response:
        return request_error(InvalidRequest("the body is nested too deep"))

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        log.exception("a request failed", exc_info=error)
        return request_error(RequestError("internal error"))
