"""Where Prometheus asks a gateway: at a port of its own, if it has one.

Gauges of models are read from Redis when they are asked for, and all gateways tell the same.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import redis
from gevent.pywsgi import WSGIServer
from prometheus_client import REGISTRY, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from gateway.canary import Canaries
from gateway.listener import bound
from gateway.pools import Pool, Pools
from shared import redis_keys as keys
from shared.settings import Settings

log = logging.getLogger(__name__)

MOST_CLIENTS = 16


class Gauges(Collector):
    """The models' pools, as they are when they are asked for; without Redis, only that it is away."""

    def __init__(self, client: "redis.Redis", pools: Pools, canaries: Canaries) -> None:
        self._redis = client
        self._pools = pools
        self._canaries = canaries

    def collect(self) -> Iterator[Metric]:
        try:
            found = [*self._of_pools(), *self._of_canaries(), *self._of_lists()]
        except RedisError as error:
            log.warning("metrics of models are left out: %s", error)
            found = []
        yield GaugeMetricFamily("crofai_redis_up", "Whether Redis answers.", float(bool(found)))
        yield from found

    def _of_pools(self) -> list[Metric]:
        pools = self._pools.all()
        workers = GaugeMetricFamily("crofai_workers", "Workers, by their state.", labels=["model", "state"])
        for pool in pools:
            for state, count in pool.workers.items():
                workers.add_metric([pool.model, state], count)
        return [workers, *(_by_model(name, what, pools, value) for name, what, value in OF_POOL)]

    def _of_canaries(self) -> list[Metric]:
        success = GaugeMetricFamily("crofai_canary_success", "Whether the last was answered.", labels=["model"])
        seconds = GaugeMetricFamily("crofai_canary_seconds", "How long the last one took.", labels=["model"])
        for model, result in self._canaries.results().items():
            success.add_metric([model], float(result.success))
            seconds.add_metric([model], result.seconds)
        return [success, seconds]

    def _of_lists(self) -> list[Metric]:
        dead, unwritten = self._redis.llen(keys.DEAD), self._redis.xlen(keys.USAGE)
        return [
            GaugeMetricFamily("crofai_dead_letters", "Jobs that were given up.", dead),
            GaugeMetricFamily("crofai_unwritten_usage", "Rows of usage that wait for the database.", unwritten),
        ]


OF_POOL: list[tuple[str, str, Callable[[Pool], float]]] = [
    ("crofai_open_jobs", "Jobs without an end: waiting and in flight.", lambda pool: pool.open),
    ("crofai_waiting_jobs", "Jobs that wait, in line or in the queue.", lambda pool: pool.waiting),
    ("crofai_running_jobs", "Jobs at workers.", lambda pool: pool.running),
    ("crofai_capacity", "Jobs that the ready workers take at once.", lambda pool: pool.capacity),
    ("crofai_tokens_per_second", "Tokens made a second, of the last five.", lambda pool: pool.tokens_per_second),
]


def _by_model(name: str, what: str, pools: list[Pool], value: Callable[[Pool], float]) -> Metric:
    gauge = GaugeMetricFamily(name, what, labels=["model"])
    for pool in pools:
        gauge.add_metric([pool.model], value(pool))
    return gauge


def listen(settings: Settings, gauges: Gauges) -> None:
    """Serve /metrics at their own port, if there is to be one. Raises SetupError if it cannot be had."""
    if not settings.metrics_port:
        return
    listener = bound(settings.metrics_host, settings.metrics_port, "CROFAI_METRICS_PORT", " for metrics")
    listener.listen(16)
    REGISTRY.register(gauges)
    app: Any = make_wsgi_app(REGISTRY)
    WSGIServer(listener, app, spawn=MOST_CLIENTS, log=None).start()
    log.info("metrics at http://%s:%d/metrics", *listener.getsockname()[:2])
