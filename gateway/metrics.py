"""What a gateway counts, for Prometheus. docs/metrics.md lists it all.

It comes from the rows of usage, which one gateway at a time writes down: each job is counted once, whichever
gateway served it, and nothing is measured on a request's way.
"""

from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from shared.errors import Cancelled, JobLost, Relayed, RequestError, Timeout
from shared.ledger import UsageRow
from shared.messages import Kind

OPERATIONS: dict[Kind, str] = {"chat": "chat", "completion": "text_completion", "image": "image_generation"}
"""OpenTelemetry's names for what was asked for."""

SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
SHORT = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)

_OF_JOB = ("gen_ai_request_model", "gen_ai_operation_name")
_duration = Histogram(
    "gen_ai_server_request_duration_seconds", "From admission to the end of a job.", _OF_JOB, buckets=SECONDS
)
_first = Histogram(
    "gen_ai_server_time_to_first_token_seconds", "From admission to the first chunk.", _OF_JOB, buckets=SECONDS
)
_between = Histogram(
    "gen_ai_server_time_per_output_token_seconds", "Between tokens after the first.", _OF_JOB, buckets=SHORT
)
_tokens = Histogram(
    "gen_ai_client_token_usage", "Tokens of a job.", (*_OF_JOB, "gen_ai_token_type"), buckets=TOKENS
)
_wait = Histogram(
    "crofai_queue_wait_seconds", "From admission until a worker begins.", ("model", "tier"), buckets=SECONDS
)
_jobs = Counter("crofai_jobs", "Jobs that have ended, by how.", ("model", "tier", "state"))
_steps = Counter("crofai_image_steps", "Denoising steps made.", ("model",))
_units = Counter("crofai_units", "Units charged.", ("model", "tier"))
_refusals = Counter("crofai_refusals", "Requests that were refused, by the code of their error.", ("reason",))


def ended(rows: Iterable[UsageRow]) -> None:
    """Count jobs that have ended."""
    for row in rows:
        _jobs.labels(row.model, row.tier, row.state).inc()
        _units.labels(row.model, row.tier).inc(row.units)
        if row.image_steps:
            _steps.labels(row.model).inc(row.image_steps)
        if row.begun is not None:
            _wait.labels(row.model, row.tier).observe(max(0.0, row.begun - row.created))
        _time(row)


def _time(row: UsageRow) -> None:
    labels = (row.model, OPERATIONS[row.kind])
    _duration.labels(*labels).observe(max(0.0, row.ended - row.created))
    if row.first is not None:
        _first.labels(*labels).observe(max(0.0, row.first - row.created))
        if row.completion_tokens > 1:
            _between.labels(*labels).observe(max(0.0, row.ended - row.first) / (row.completion_tokens - 1))
    for kind, count in (("input", row.prompt_tokens), ("output", row.completion_tokens)):
        if count:
            _tokens.labels(*labels, kind).observe(count)


ENDS = (Relayed, Cancelled, Timeout, JobLost)
"""Errors that are what came of a job, and no refusals."""


def refused(error: RequestError) -> None:
    """Count an error that a client is told in place of an answer."""
    if not isinstance(error, ENDS):
        _refusals.labels(error.failure().code).inc()
