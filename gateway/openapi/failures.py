"""What can go wrong, from the tree of errors: responses by status, and an example of each error."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from gateway.api import messages
from gateway.api.errors import FINAL, SHOULD_RETRY, error_body
from gateway.openapi.schemas import ANTHROPIC, Schema, ref
from shared import errors
from shared.errors import RequestError
from shared.messages import Failure

Kind = type[RequestError]
Shape = Callable[[Failure], dict[str, Any]]

EARLY: tuple[Kind, ...] = (
    errors.MalformedRequest,
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.HeadTooLarge,
    errors.GatewayStopping,
)
"""May be told before anybody knows what a request is for: in OpenAI's shape, whatever its address."""


def error_schemas() -> dict[str, Schema]:
    """By name, the schemas of errors in both dialects."""
    codes = sorted({kind.code for kind in _tree(RequestError)})
    return {
        "ErrorDetails": _error(code={"enum": codes}, param={"type": ["string", "null"]}),
        "Error": {"type": "object", "properties": {"error": ref("ErrorDetails")}, "required": ["error"]},
        f"{ANTHROPIC}Error": {
            "type": "object",
            "properties": {"type": {"const": "error"}, "error": _error(), "request_id": {"type": "string"}},
            "required": ["type", "error", "request_id"],
        },
    }


def error_examples() -> dict[str, Schema]:
    """By name, an example of each error in both dialects."""
    return {
        name(kind): {"summary": _told(kind), "value": shape(_example(kind).failure())}
        for kind in _tree(RequestError)
        for name, shape in ((_openais, error_body), (_anthropics, _anthropics_body))
    }


def error_responses(kinds: Iterable[Kind], *, anthropic: bool) -> dict[str, Schema]:
    """By status, what an endpoint answers that can fail in these ways."""
    ordered: list[Kind] = sorted({*kinds, RequestError}, key=_place)
    return {
        str(status): _response(list(some), anthropic)
        for status, some in groupby(ordered, key=lambda kind: kind.status)
    }


def _place(kind: Kind) -> tuple[int, str]:
    return kind.status, kind.code


def _tree(root: Kind) -> Iterator[Kind]:
    """It and all below; a Relayed has the code of another, and what is not in the tree's file never gets out."""
    if root.__module__ == errors.__name__ and root is not errors.Relayed:
        yield root
        for leaf in root.__subclasses__():
            yield from _tree(leaf)


def _error(**more: Schema) -> Schema:
    fields: Schema = {"message": {"type": "string"}, "type": {"type": "string"}} | more
    return {"type": "object", "properties": fields, "required": list(fields)}


def _response(kinds: list[Kind], anthropic: bool) -> Schema:
    names = [_anthropics(kind) for kind in kinds] if anthropic else []
    names += [_openais(kind) for kind in kinds if kind in EARLY or not anthropic]
    schemas = [ref(f"{ANTHROPIC}Error")] if anthropic else []
    schemas += [ref("Error")] if len(names) > len(schemas) * len(kinds) else []
    headers = ["X-Request-Id", *(["request-id"] if anthropic else [])]
    response: Schema = {
        "description": "\n".join(f"- {_told(kind)}" for kind in kinds),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {
            "application/json": {
                "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                "examples": {name: {"$ref": f"#/components/examples/{name}"} for name in names},
            }
        },
    }
    if any(kind.retry_after for kind in kinds):
        response["headers"]["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    if any(kind.code in FINAL for kind in kinds):
        response["headers"][SHOULD_RETRY] = {"$ref": f"#/components/headers/{SHOULD_RETRY}"}
    return response


def _example(kind: Kind) -> RequestError:
    """As it is raised; the root of the tree stands for what nobody expected."""
    return kind("internal error") if kind is RequestError else kind()


def _told(kind: Kind) -> str:
    return f"`{kind.code}`: {_example(kind)}"


def _anthropics_body(failure: Failure) -> dict[str, Any]:
    return messages.error_body(failure) | {"request_id": "req_5f3c8e1a"}


def _openais(kind: Kind) -> str:
    return kind.code


def _anthropics(kind: Kind) -> str:
    return f"anthropic_{kind.code}"
