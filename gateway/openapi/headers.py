"""What requests may have in their headers and addresses, and what the headers of answers say."""

from gateway.admission import MOST_GRACE
from gateway.idempotency import LONGEST
from gateway.openapi.schemas import Schema

SECURITY: dict[str, Schema] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, `sk-crof-…`, as OpenAI's clients send it.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same, as the seed's clients do.",
    },
}

SAID: dict[str, Schema] = {
    "X-Request-Id": {
        "description": "The request's id: its own, if that is 1 to 128 letters, digits and `._:/+=@-`.",
        "schema": {"type": "string"},
    },
    "request-id": {
        "description": "The same, where Anthropic's clients look for it.",
        "schema": {"type": "string"},
    },
    "X-Job-Id": {"description": "The job's id, for `/v1/jobs/{job_id}`.", "schema": {"type": "string"}},
    "Server-Timing": {
        "description": "Milliseconds so far: `queue`, `ttft` (to the first token) and `total`. A stream whose job "
        "waits for more than a second begins before its job does, and has `total` alone.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which it is worth sending the request again.",
        "schema": {"type": "integer"},
    },
}
"""By name, the headers of answers."""


def parameters(job_timeout: float) -> dict[str, Schema]:
    """By name, what a request may have beside its body. A job has `job_timeout` seconds at most."""
    seconds: Schema = {"type": "integer", "minimum": 0, "maximum": MOST_GRACE, "default": 0}
    number: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
    return {
        "RequestId": _header(
            "X-Request-Id", "An id for this request, which its answer repeats if it is safe.", {"type": "string"}
        ),
        "RequestTimeout": _header(
            "X-Request-Timeout",
            "Seconds after which the job ends with `timeout`.",
            {"type": "number", "minimum": 1, "maximum": job_timeout},
        ),
        "IdempotencyKey": _header(
            "Idempotency-Key",
            "The same request, sent again with the same key, is the same job.",
            {"type": "string", "minLength": 1, "maxLength": LONGEST},
        ),
        "ResumeWithin": _header(
            "X-Resume-Within", "Seconds for which the job goes on when its client is cut off.", seconds
        ),
        "LastEventId": _header("Last-Event-ID", "The `id` of the last event that the client has.", number),
        "After": {"name": "after", "in": "query", "description": "As Last-Event-ID, which it gives way to."}
        | {"schema": number},
        "Model": _path("name", "A model's id, or an alias of it."),
        "Job": _path("job_id", "The X-Job-Id of an answer."),
    }


def _header(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _path(name: str, description: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}
