"""What requests may have in their headers and addresses, and what the headers of answers say."""

from gateway.admission import MOST_GRACE
from gateway.api.errors import SHOULD_RETRY
from gateway.api.query import IN_A_PAGE, MOST_IN_A_PAGE
from gateway.api.usage import USUAL
from gateway.idempotency import LONGEST
from gateway.openapi.schemas import Schema

TEXT: Schema = {"type": "string"}
DATE: Schema = TEXT | {"format": "date"}

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
    SHOULD_RETRY: {
        "description": "`false` where sending the request again would fail in the same way.",
        "schema": {"enum": ["false"]},
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
        "Account": _path("account_id", "An account's id."),
        "Key": _path("key_id", "A key's id, which is no secret."),
        "Limit": _query(
            "limit",
            "Of how many entries the page is.",
            {"type": "integer", "minimum": 1, "maximum": MOST_IN_A_PAGE, "default": IN_A_PAGE},
        ),
        "AfterId": _query("after", "The id of the last entry of the page before: its `last_id`.", TEXT),
        "By": _query("by", "Some of day, model, key and, for admins, account.", TEXT | {"default": "day,model"}),
        "From": _query("from", f"The first day, of UTC; {USUAL} days, unless given.", DATE),
        "To": _query("to", "The last day, of UTC; today, unless given.", DATE),
        "AccountAsked": _query("account", "For admins: another account's id, or `all`.", TEXT),
        "Uptime": _query(
            "uptime",
            "Whether to tell the history of canaries, too: it is the most of the answer.",
            {"type": "boolean", "default": True},
        ),
        "Format": _query("format", "", {"enum": ["json", "csv"], "default": "json"}),
        "Force": _query("force", "Do it to the last admin's key, too.", {"type": "boolean", "default": False}),
        "Letter": _path("letter_id", "The id of a job that was given up."),
        "Gpus": _query("gpus", "All GPUs that there are for models.", {"type": "integer", "minimum": 1})
        | {"required": True},
        "Since": _query("since", "How far back to look: such as 36h, 7d or 4w.", TEXT | {"default": "7d"}),
        "Share": _query(
            "share",
            "Of requests that are to begin in time.",
            {"type": "number", "minimum": 0.01, "maximum": 1, "default": 0.95},
        ),
        "Within": _query(
            "within", "What is in time, in seconds.", {"type": "number", "minimum": 0, "default": 10}
        ),
        "ByHour": _query(
            "by_hour", "Let minima follow the hours of the week.", {"type": "boolean", "default": False}
        ),
        "AccountName": _query("name", "Only the account of this name.", TEXT),
    }


def _header(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _path(name: str, description: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}
