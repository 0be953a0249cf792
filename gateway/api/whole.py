"""One JSON body for a whole answer: the worker's bytes, passed through. Hop 8."""

from contextlib import AbstractContextManager

from flask import Response

from gateway import views
from gateway.admission import Answer
from gateway.api.streams import job_headers
from shared.errors import EngineFailed


def whole(under_way: AbstractContextManager[Answer]) -> Response:
    """The answer as a response. Raises what its job failed with."""
    with under_way as answer:
        body = last_payload(answer)
        return Response(body, mimetype="application/json", headers=job_headers(answer))


def last_payload(answer: Answer) -> bytes:
    """The last payload of an answer that is not streamed, which is all of it. Raises what its job failed with."""
    last = b""
    for chunks in answer:
        for payload in views.payloads(chunks):
            last = payload
    if not last:
        raise EngineFailed("the engine gave no answer")
    return last
