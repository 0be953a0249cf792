"""The seed's JSON dialect: POST /v1/free/{model} and /v1/premium/{model} → {"response": "…"}."""

from contextlib import AbstractContextManager

from flask import Blueprint, Response, jsonify

from gateway import views
from gateway.admission import Answer
from gateway.api.requests import api_key, idempotency_key, json_body, leaving_client
from gateway.api.streams import job_headers
from gateway.auth import Keyring
from gateway.bodies import seed_body
from gateway.idempotency import Idempotency
from shared.catalog import Catalog
from shared.errors import EngineFailed


def seed_api(catalog: Catalog, keyring: Keyring, jobs: Idempotency) -> Blueprint:
    api = Blueprint("seed", __name__)

    @api.post("/v1/free/<name>", defaults={"tier": "free"})
    @api.post("/v1/premium/<name>", defaults={"tier": "premium"})
    def complete(tier: str, name: str) -> Response:
        with ask(tier, name) as answer:
            response = jsonify(response=_picture(answer) if answer.job.kind == "image" else _text(answer))
            response.headers.update(job_headers(answer))
            return response

    def ask(tier: str, name: str) -> AbstractContextManager[Answer]:
        holder = keyring.holder(api_key())
        model = catalog.find(name)
        body = seed_body(model, json_body())
        return jobs.submit(idempotency_key(), holder, tier, model, body, leaving_client())

    return api


def _text(answer: Answer) -> str:
    return "".join(views.text(chunks) for chunks in answer)


def _picture(answer: Answer) -> str:
    """A PNG as the text of a Python bytes literal, which is what the seed's clients evaluate."""
    pictures = [picture for chunks in answer for image in views.images(chunks) for picture in image.data]
    if not pictures:
        raise EngineFailed("the engine made no image")
    return repr(pictures[0].png)
