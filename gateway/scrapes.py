"""Where Prometheus asks a gateway: at a port of its own, if it has one.

Gauges of models are read from Redis when they are asked for, and all gateways tell the same.
"""

import logging
import socket
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Iterator
from typing import Any, get_args

import redis
from gevent.pywsgi import WSGIServer
from prometheus_client import REGISTRY, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from gateway.canary import Canaries
from gateway.roster import Roster
from shared import redis_keys as keys
from shared.errors import SetupError
from shared.lines import Lines
from shared.registry import WorkerState
from shared.settings import Settings

log = logging.getLogger(__name__)


class Pools(Collector):
    """The models' workers and lines, as they are when they are asked for; without Redis, only that it is away."""

    def __init__(
        self, client: "redis.Redis", lines: Lines, roster: Roster, models: Collection[str], canaries: Canaries
    ) -> None:
        self._redis = client
        self._canaries = canaries
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
        yield from self._of_canaries()

    def _of_canaries(self) -> Iterator[Metric]:
        success = GaugeMetricFamily("crofai_canary_success", "Whether the last was answered.", labels=["model"])
        seconds = GaugeMetricFamily("crofai_canary_seconds", "How long the last one took.", labels=["model"])
        for model, result in self._canaries.results().items():
            success.add_metric([model], float(result.success))
            seconds.add_metric([model], result.seconds)
        yield from (success, seconds)

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
