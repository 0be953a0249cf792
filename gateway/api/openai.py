"""OpenAI's dialect: POST /v1/chat/completions, streamed or not. The worker's bytes are passed through."""

from flask import Blueprint, Response

from gateway import views
from gateway.admission import Answer
from gateway.api.requests import api_key, idempotency_key, json_body, waiting_client
from gateway.api.streams import job_headers, stream
from gateway.auth import Keyring
from gateway.bodies import model_name, openai_body
from gateway.idempotency import Idempotency
from shared.catalog import Catalog
from shared.errors import EngineFailed


def openai_api(catalog: Catalog, keyring: Keyring, jobs: Idempotency) -> Blueprint:
    api = Blueprint("openai", __name__)

    @api.post("/v1/chat/completions")
    def chat() -> Response:
        holder = keyring.holder(api_key())
        data = json_body()
        model = catalog.find(model_name(data.get("model")))
        body = openai_body(model, data)
        answering = jobs.submit(idempotency_key(), holder, holder.tier, model, body, waiting_client())
        if body.get("stream"):
            return stream(answering)
        with answering as answer:
            return Response(whole(answer), mimetype="application/json", headers=job_headers(answer))

    return api


def whole(answer: Answer) -> bytes:
    """The last payload, which is all of an answer that is not streamed. Raises what its job failed with."""
    last = b""
    for chunks in answer:
        for payload in views.payloads(chunks):
            last = payload
    if not last:
        raise EngineFailed("the engine gave no answer")
    return last
