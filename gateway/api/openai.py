"""OpenAI's dialect: chats and completions, streamed or not. The worker's bytes are passed through."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from gateway.api.requests import Asked, api_key, idempotency_key, json_body, waiting_client
from gateway.api.streams import stream
from gateway.api.whole import whole
from gateway.auth import Keyring
from gateway.bodies import completion_body, model_name, openai_body
from gateway.idempotency import Idempotency
from shared.catalog import Catalog, Model
from shared.messages import Kind

BodyOf = Callable[[Model, dict[str, Any]], dict[str, Any]]
"""What a job gets of a request to this model. Raises InvalidRequest."""


def openai_api(catalog: Catalog, keyring: Keyring, jobs: Idempotency) -> Blueprint:
    api = Blueprint("openai", __name__)

    @api.post("/v1/chat/completions")
    def chat() -> Response:
        return answer("chat", openai_body)

    @api.post("/v1/completions")
    def completion() -> Response:
        return answer("completion", completion_body)

    def answer(kind: Kind, body_of: BodyOf) -> Response:
        answering, streamed = ask(kind, body_of)
        return stream(answering) if streamed else whole(answering)

    def ask(kind: Kind, body_of: BodyOf) -> Asked:
        holder = keyring.holder(api_key())
        data = json_body()
        model = catalog.find(model_name(data.get("model")))
        body = body_of(model, data)
        answering = jobs.submit(idempotency_key(), holder, holder.tier, model, body, waiting_client(), kind)
        return answering, bool(body.get("stream"))

    return api
