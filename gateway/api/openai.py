"""OpenAI's dialect: chats, completions and images, streamed or not. Hops 1 and 8.

The worker's bytes are passed through, but for an image's events.
"""

from typing import Any

from flask import Blueprint, Response

from gateway.api.requests import BodyOf, Desk
from gateway.api.streams import RESULTS, stream
from gateway.api.whole import whole
from gateway.bodies import completion_body, openai_body, openai_image_body
from shared.catalog import Model
from shared.messages import Kind


def openai_api(desk: Desk) -> Blueprint:
    api = Blueprint("openai", __name__)

    @api.post("/v1/chat/completions")
    def chat() -> Response:
        return answer("chat", openai_body)

    @api.post("/v1/completions")
    def completion() -> Response:
        return answer("completion", completion_body)

    @api.post("/v1/images/generations")
    def image() -> Response:
        partial: list[Any] = []

        def body_of(model: Model, data: dict[str, Any]) -> dict[str, Any]:
            partial.append(data.get("partial_images"))
            return openai_image_body(model, data)

        answering, streamed = desk.ask(body_of, "image")
        if not streamed:
            return whole(answering)
        return stream(answering, lambda _: RESULTS) if partial == [0] else stream(answering)

    def answer(kind: Kind, body_of: BodyOf) -> Response:
        answering, streamed = desk.ask(body_of, kind)
        return stream(answering) if streamed else whole(answering)

    return api
