"""What a gateway measures, for Prometheus. docs/metrics.md lists it all.

Histograms and counters of jobs come from the rows of usage, which one gateway at a time writes down: each job is
counted once, whichever gateway served it, and nothing is measured on a request's way. Gauges of models are read
from Redis when they are asked for, and all gateways tell the same.
"""

import logging
import socket
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Iterator
from typing import Any, get_args

import redis
from gevent.pywsgi import WSGIServer
from prometheus_client import REGISTRY, Counter, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from gateway.roster import Roster
from shared import redis_keys as keys
from shared.errors import Relayed, RequestError, SetupError
from shared.ledger import UsageRow
from shared.lines import Lines
from shared.messages import Kind
from shared.registry import WorkerState
from shared.settings import Settings

log = logging.getLogger(__name__)

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


def refused(error: RequestError) -> None:
    """Count an error that a client is told in place of an answer."""
    if not isinstance(error, Relayed):  # that is a job's end, and counted as one
        _refusals.labels(error.failure().code).inc()


class Pools(Collector):
    """The models' workers and lines, as they are when they are asked for; without Redis, only that it is away."""

    def __init__(self, client: "redis.Redis", lines: Lines, roster: Roster, models: Collection[str]) -> None:
        self._redis = client
        self._lines = lines
        self._roster = roster
        self._models = list(models)

    def collect(self) -> Iterator[Metric]:
        try:
            found = list(self._gauges())
        except RedisError as error:
            log.warning("metrics of models are left out: %s", error)
            found = []
        yield GaugeMetricFamily("crofai_redis_up", "Whether Redis answers.", float(bool(found)))
        yield from found

    def _gauges(self) -> Iterator[Metric]:
        with self._redis.pipeline(transaction=False) as pipe:
            for model in self._models:
                pipe.zcard(keys.open_jobs(model))
            pipe.llen(keys.DEAD)
            pipe.xlen(keys.USAGE)
            *open_jobs, dead, unwritten = pipe.execute()
        yield self._by_model("crofai_open_jobs", "Jobs without an end: waiting and in flight.", open_jobs)
        yield self._by_model("crofai_waiting_jobs", "Jobs that wait in line.", self._lines.waiting(self._models))
        yield GaugeMetricFamily("crofai_dead_letters", "Jobs that were given up.", dead)
        yield GaugeMetricFamily("crofai_unwritten_usage", "Rows of usage that wait for the database.", unwritten)
        yield from self._workers()

    def _by_model(self, name: str, what: str, values: Iterable[int]) -> Metric:
        gauge = GaugeMetricFamily(name, what, labels=["model"])
        for model, value in zip(self._models, values, strict=True):
            gauge.add_metric([model], value)
        return gauge

    def _workers(self) -> Iterator[Metric]:
        workers = GaugeMetricFamily("crofai_workers", "Workers, by their state.", labels=["model", "state"])
        running = GaugeMetricFamily("crofai_running_jobs", "Jobs at workers.", labels=["model"])
        speed = GaugeMetricFamily("crofai_tokens_per_second", "Tokens made at present.", labels=["model"])
        reports = self._roster.workers()
        count = Tally((report.model, report.state) for report in reports)
        for model in self._models:
            for state in get_args(WorkerState):
                workers.add_metric([model, state], count[model, state])
            mine = [report for report in reports if report.model == model]
            running.add_metric([model], sum(report.running for report in mine))
            speed.add_metric([model], sum(report.tokens_per_second for report in mine))
        yield from (workers, running, speed)


def listen(settings: Settings, pools: Pools) -> None:
    """Serve /metrics at their own port, if there is to be one. Raises SetupError if it cannot be had."""
    if not settings.metrics_port:
        return
    listener = socket.socket(socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.metrics_host, settings.metrics_port))
    except OSError as error:
        raise SetupError(
            f"cannot listen on {settings.metrics_host}:{settings.metrics_port} for metrics: {error.strerror}; "
            "choose another port with CROFAI_METRICS_PORT"
        ) from error
    listener.listen(16)
    listener.setblocking(False)
    REGISTRY.register(pools)
    app: Any = make_wsgi_app(REGISTRY)
    WSGIServer(listener, app, log=None).start()
    log.info("metrics at http://%s:%d/metrics", *listener.getsockname()[:2])
