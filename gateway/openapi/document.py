"""The whole document."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from gateway.openapi.accounts import account_operations, account_schemas
from gateway.openapi.answers import answer_schemas
from gateway.openapi.failures import error_examples, error_responses, error_schemas
from gateway.openapi.headers import SAID, SECURITY, parameters
from gateway.openapi.operations import EVENTS, JSON, Operation, operations
from gateway.openapi.schemas import Schema, body_schemas

ABOUT = """
Open models behind one key, in the dialects of OpenAI and Anthropic and in one of its own.

The schemas of bodies are made of those that requests are held against: what they refuse is refused, and what they
take is taken, but for

- what depends on several fields or on the model, such as `stream_options`, which needs `stream`, or an answer
  longer than the model's context: the error names the field and the fix;
- whole numbers, which are written without a point: 1, not 1.0; and edges of images, which are multiples of 8;
- fields that are null, which are as good as left out, whatever their names.

Socket.IO, and examples in several languages, are described at [/](/).
"""
TAGS = {
    "Text": "Chats and completions.",
    "Images": "Images of texts.",
    "Seed": "The API's own dialect: one JSON object when the answer is complete.",
    "Jobs": "Coming back to an answer, from any connection.",
    "Usage": "What was used.",
    "Account": "One's own account, its limits and its keys. A secret is told once.",
    "Models": "What there is. No key is needed.",
    "Admin": "Accounts and their keys, for those whose keys are admins'. A secret is told once.",
}


def document(job_timeout: float, tiers: Sequence[str]) -> dict[str, Any]:
    """The API's description, with these tiers. A job has `job_timeout` seconds at most."""
    paths: dict[str, Schema] = {}
    for operation in (*operations(tiers), *account_operations()):
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "crofai", "version": version("crofai"), "description": ABOUT.strip()},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": body_schemas() | answer_schemas() | account_schemas() | error_schemas(),
            "parameters": parameters(job_timeout),
            "headers": SAID,
            "examples": error_examples(),
            "securitySchemes": SECURITY,
        },
    }


def _operation(operation: Operation) -> Schema:
    names = (*operation.parameters, *_in_path(operation.path), "RequestId")
    described: Schema = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in names],
        "responses": {"200": _answer(operation)} | error_responses(operation.kinds, anthropic=operation.anthropic),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body:
        examples = {name: {"value": value} for name, value in operation.examples.items()}
        content = {JSON: {"schema": operation.body, "examples": examples}}
        described["requestBody"] = {"required": True, "content": content}
    if not operation.keyed:
        described["security"] = []
    return described


def _in_path(path: str) -> list[str]:
    return [PLACES[place] for place in re.findall(r"\{(\w+)\}", path)]


PLACES = {"name": "Model", "job_id": "Job", "account_id": "Account", "key_id": "Key", "letter_id": "Letter"}


def _answer(operation: Operation) -> Schema:
    content: dict[str, Schema] = {}
    if operation.answer:
        content[JSON] = {"schema": operation.answer}
    if operation.events:
        content[EVENTS] = {"schema": {"type": "string", "description": operation.events}}
    names = ["X-Request-Id", *(["X-Job-Id", "Server-Timing"] if operation.job else [])]
    names += ["request-id"] if operation.anthropic else []
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"description": operation.summary, "headers": headers, "content": content}
