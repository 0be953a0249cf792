"""OpenAI's dialect for images: POST /v1/images/generations, streamed or not. Hops 1 and 8."""

from flask import Blueprint, Response

from gateway.api.requests import Asked, api_key, idempotency_key, json_body, waiting_client
from gateway.api.streams import stream
from gateway.api.whole import whole
from gateway.auth import Keyring
from gateway.bodies import model_name, openai_image_body
from gateway.idempotency import Idempotency
from shared.catalog import Catalog


def images_api(catalog: Catalog, keyring: Keyring, jobs: Idempotency) -> Blueprint:
    api = Blueprint("images", __name__)

    @api.post("/v1/images/generations")
    def generate() -> Response:
        answering, streamed = ask()
        return stream(answering) if streamed else whole(answering)

    def ask() -> Asked:
        holder = keyring.holder(api_key())
        data = json_body()
        model = catalog.find(model_name(data.get("model")))
        body = openai_image_body(model, data)
        answering = jobs.submit(idempotency_key(), holder, holder.tier, model, body, waiting_client())
        return answering, bool(data.get("stream"))

    return api
