"""What others' clients can ask for, and nothing here answers: one error that says so, and what is offered."""

from typing import NoReturn

from flask import Blueprint, current_app, request

from gateway.api.requests import json_body, key_holder
from gateway.auth import Keyring
from gateway.bodies import model_name
from shared.catalog import Catalog
from shared.errors import NotOffered

ADDRESSES = """
assistants audio batches containers conversations evals files fine_tuning images/edits images/variations
messages/batches moderations realtime responses threads uploads vector_stores videos
""".split()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def not_offered_api(catalog: Catalog, keyring: Keyring) -> Blueprint:
    api = Blueprint("not_offered", __name__)

    @api.post("/v1/embeddings")
    def embeddings() -> NoReturn:
        key_holder(keyring)
        model = catalog.find(model_name(json_body().get("model")))
        does = "chats" if model.kind == "chat" else "makes images"
        raise NotOffered(f"No model here makes embeddings: '{model.id}' {does}. {_offered()}", param="model")

    def refuse(rest: str = "") -> NoReturn:
        raise NotOffered(f"{request.path[:80]} is not offered here. {_offered()}")

    for address in ADDRESSES:
        for rule in (f"/v1/{address}", f"/v1/{address}/<path:rest>"):
            api.add_url_rule(rule, "refuse", refuse, methods=METHODS)

    @api.route("/v1/chat/completions/<path:rest>", methods=METHODS)
    def stored(rest: str) -> NoReturn:
        raise NotOffered(
            "Answers are not stored. For some minutes after its end each is at /v1/jobs/{id}, by its X-Job-Id."
        )

    return api


def _offered() -> str:
    """The addresses that there are."""
    rules = [rule for rule in current_app.url_map.iter_rules() if rule.rule.startswith("/v1/")]
    ours = [
        rule for rule in rules if "not_offered" not in rule.endpoint and not rule.endpoint.startswith("admin.")
    ]
    posts = {rule.rule for rule in ours if "POST" in (rule.methods or ())}
    names = ", ".join(sorted(posts)).replace("<", "{").replace(">", "}")
    return f"What is offered: {names}; the models are listed at /v1/models."
