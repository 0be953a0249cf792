"""OpenAI's dialect: POST /v1/chat/completions, streamed or not. The worker's bytes are passed through."""

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
from flask import Blueprint, Response

from gateway import views
from gateway.admission import Admission, Answer
from gateway.api.errors import error_body
from gateway.api.requests import api_key, client_left, json_body
from gateway.auth import Keyring
from gateway.bodies import openai_body
from shared.catalog import Catalog
from shared.errors import EngineFailed, InvalidRequest, RequestError
from shared.messages import Chunk

STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def openai_api(catalog: Catalog, keyring: Keyring, admission: Admission) -> Blueprint:
    api = Blueprint("openai", __name__)

    @api.post("/v1/chat/completions")
    def chat() -> Response:
        holder = keyring.holder(api_key())
        data = json_body()
        name = data.get("model")
        if not isinstance(name, str):
            raise InvalidRequest("model: should be the name of a model; see /v1/models", param="model")
        model = catalog.find(name)
        body = openai_body(model, data)
        with ExitStack() as stack:
            answer = stack.enter_context(admission.submit(holder, holder.tier, model, body, client_left()))
            if not body.get("stream"):
                return Response(_whole(answer), mimetype="application/json")
            # The first chunk decides the status: a request the engine refuses is a 400, not a broken stream.
            chunks = iter(answer)
            first = next(chunks)
            events = _events(first, chunks, stack.pop_all())
            return Response(events, mimetype="text/event-stream", headers=STREAM_HEADERS)

    return api


def _whole(answer: Answer) -> bytes:
    whole = b""
    for chunks in answer:
        for payload in views.payloads(chunks):
            whole = payload
    if not whole:
        raise EngineFailed("the engine gave no answer")
    return whole


def _events(first: list[Chunk], chunks: Iterator[list[Chunk]], job: ExitStack) -> Iterator[bytes]:
    """The stream's bytes. Closing it, as the server does when the client goes, cancels the job."""
    with job:
        try:
            yield views.events(first)
            for more in chunks:
                yield views.events(more)
        except RequestError as error:
            yield b"data: %b\n\n" % msgspec.json.encode(error_body(error.failure()))
        yield b"data: [DONE]\n\n"
