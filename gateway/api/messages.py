"""Anthropic's dialect: POST /v1/messages, streamed or not, as a view of what OpenAI's passes through. Hops 1, 8.

X-Resume-Within says how long a job goes on without its client, which sends its request again, with its
Idempotency-Key, to get the answer from its beginning.
"""

import msgspec
from flask import Blueprint, Response, request

from gateway import request_id, views
from gateway.admission import Answer
from gateway.api import errors
from gateway.api.requests import Desk
from gateway.api.streams import Wording, job_headers, stream
from gateway.api.whole import last_payload
from gateway.blocks import Fields, Telling, message
from gateway.bodies import messages_body
from shared.errors import NotOffered, RequestError
from shared.messages import Chunk, Failure, Usage

ADDRESS = "/v1/messages"

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def messages_api(desk: Desk) -> Blueprint:
    api = Blueprint("messages", __name__)

    @api.after_app_request
    def identify(response: Response) -> Response:
        if _addressed():
            response.headers["request-id"] = request_id.current()  # where Anthropic's clients look for it
        return response

    @api.post(ADDRESS)
    def create() -> Response:
        answering, streamed = desk.ask(messages_body)
        if streamed:
            return stream(answering, _wording)
        with answering as answer:
            payload = last_payload(answer)
            usage = answer.end.usage if answer.end else Usage()
            told = message(answer.job.id, answer.job.model, payload, usage)
            return Response(msgspec.json.encode(told), mimetype="application/json", headers=job_headers(answer))

    @api.post(f"{ADDRESS}/count_tokens", endpoint="not_offered_count")
    def count() -> Response:
        raise NotOffered("Tokens are not counted beforehand; the `usage` of an answer says how many they were.")

    return api


def error_body_here(failure: Failure) -> Fields:
    """A failure in the shape of the dialect whose address was asked, be there anything at it or not."""
    return error_body(failure) if _addressed() else errors.error_body(failure)


def _addressed() -> bool:
    """Whether it was this one, or what a client makes of it whose base URL ends with /v1."""
    path = request.path.removeprefix("/v1") if request.path.startswith("/v1/v1/") else request.path
    return path == ADDRESS or path.startswith(f"{ADDRESS}/")


def error_body(failure: Failure) -> Fields:
    """A failure in Anthropic's shape."""
    kind = _KINDS.get(failure.status, "invalid_request_error" if failure.status < 500 else "api_error")
    error = {"type": kind, "message": failure.message}
    return {"type": "error", "error": error, "request_id": request_id.current()}


def _wording(answer: Answer) -> Wording:
    """How a stream says the answer: its chunks without numbers, as nobody can go on in the midst of it."""
    telling = Telling(answer.job.id, answer.job.model)

    def chunks(some: list[Chunk], _: int | None) -> bytes:
        return b"".join(map(views.event, telling.events(some)))

    def failure(error: RequestError) -> bytes:
        return views.event(error_body(error.failure()))

    return Wording(chunks=chunks, failure=failure, end=b"")
