"""The seed's JSON dialect: POST /v1/free/{model}, and so for each tier → {"response": "…"}. Hops 1 and 8."""

from flask import Blueprint, Response, jsonify

from gateway import views
from gateway.admission import Answer
from gateway.api.requests import Desk
from gateway.api.streams import job_headers
from gateway.bodies import seed_body
from shared.errors import EngineFailed


def seed_api(desk: Desk) -> Blueprint:
    api = Blueprint("seed", __name__)

    def complete(tier: str, name: str) -> Response:
        with desk.ask_at(tier, name, seed_body) as answer:
            response = jsonify(response=_picture(answer) if answer.job.kind == "image" else _text(answer))
            response.headers.update(job_headers(answer))
            return response

    for tier in desk.tiers.all:
        api.add_url_rule(f"/v1/{tier.id}/<name>", view_func=complete, defaults={"tier": tier.id}, methods=["POST"])
    return api


def _text(answer: Answer) -> str:
    return "".join(views.text(chunks) for chunks in answer)


def _picture(answer: Answer) -> str:
    """A PNG as the text of a Python bytes literal, which is what the seed's clients evaluate."""
    pictures = [picture for chunks in answer for image in views.images(chunks) for picture in image.data]
    if not pictures:
        raise EngineFailed("the engine made no image")
    return repr(pictures[0].png)
