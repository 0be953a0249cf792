"""What a worker measures, for Prometheus, and whether it is well: both at a port of its own, if it has one.

vLLM's own metrics are among them. docs/metrics.md lists ours.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import REGISTRY, Counter, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from shared.errors import SetupError
from shared.settings import Settings
from workers import reporter

try:
    import pynvml
except ImportError:  # the gateway's image, in which simulated workers run
    pynvml = None

log = logging.getLogger(__name__)

_attempts = Counter("crofai_job_attempts", "Jobs taken from the queue, by what became of it.", ("verdict",))


def begun(verdict: str) -> None:
    """Count an attempt at a job: the verdicts are explained in shared/scripts/begin.lua."""
    _attempts.labels(verdict).inc()


class Work(reporter.Work, Protocol):
    """What a worker does, and for how many seconds what it has said has waited to be in its jobs' logs."""

    @property
    def lag(self) -> float: ...


class Health:
    """How a worker is. It changes as the worker does; asked from another thread.

    `patience` is in seconds: after so long without a good sign of its engine, a worker is not live.
    """

    def __init__(self, patience: float) -> None:
        self.ready = False  # to take jobs
        self.work: Work | None = None
        self.seen: Callable[[], float] | None = None
        self._patience = patience

    def begin(self, work: Work, seen: Callable[[], float]) -> None:
        """The engine is loaded. `seen` tells when all was well last, as time.monotonic has it."""
        self.work, self.seen = work, seen

    @property
    def live(self) -> bool:
        """It loads, or all was well lately; the watchdog ends it sooner than this changes, if it can."""
        return self.seen is None or time.monotonic() - self.seen() < 1.5 * self._patience


class _OfWork(Collector):
    def __init__(self, health: Health, capacity: int) -> None:
        self._health = health
        self._capacity = capacity

    def collect(self) -> Iterator[Metric]:
        work = self._health.work
        yield GaugeMetricFamily("crofai_worker_capacity", "Jobs it takes at once.", self._capacity)
        yield GaugeMetricFamily("crofai_worker_jobs", "Jobs in hand.", len(work.running) if work else 0)
        yield CounterMetricFamily("crofai_tokens", "Tokens made.", work.tokens if work else 0)
        lag = work.lag if work else 0.0
        yield GaugeMetricFamily("crofai_log_lag_seconds", "For how long chunks wait to be in the log.", lag)
        yield from _gpus()


def _gpus() -> Iterator[Metric]:
    """What NVIDIA's library tells, where there is one: torch would take memory of the GPU to answer."""
    if pynvml is None:
        return
    try:
        pynvml.nvmlInit()  # once is enough, and more do no harm
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:  # no driver: there is no GPU of NVIDIA's
        return
    busy = GaugeMetricFamily("crofai_gpu_utilization_ratio", "Of the last moment, busy.", labels=["gpu"])
    used = GaugeMetricFamily("crofai_gpu_memory_used_bytes", "Memory in use.", labels=["gpu"])
    for number in range(count):
        with suppress(pynvml.NVMLError):  # parts of a GPU cannot tell all of it
            gpu = pynvml.nvmlDeviceGetHandleByIndex(number)
            used.add_metric([str(number)], float(pynvml.nvmlDeviceGetMemoryInfo(gpu).used))
            busy.add_metric([str(number)], pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
    yield from (busy, used)


def listen(settings: Settings, health: Health, capacity: int) -> None:
    """Serve /metrics, /live and /ready, if there is a port for it. Raises SetupError if it cannot be had."""
    if not settings.metrics_port:
        return
    try:
        server = make_server(
            settings.metrics_host,
            settings.metrics_port,
            _application(health),
            _Server6 if ":" in settings.metrics_host else ThreadingWSGIServer,
            handler_class=_Quiet,
        )
    except OSError as error:
        raise SetupError(
            f"cannot listen on {settings.metrics_host}:{settings.metrics_port} for metrics: {error.strerror}; "
            "choose another port with CROFAI_METRICS_PORT"
        ) from error
    REGISTRY.register(_OfWork(health, capacity))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("metrics and health at http://%s:%d", *server.server_address[:2])


def _application(health: Health) -> Any:
    measured = make_wsgi_app(REGISTRY)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return measured(environ, start_response)
        well = {"/live": health.live, "/ready": health.ready and health.live}.get(path)
        status = {None: "404 Not Found", True: "200 OK", False: "503 Service Unavailable"}[well]
        start_response(status, [("Content-Type", "text/plain")])
        return [status.encode() + b"\n"]

    return application


class _Server6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds for a request to come

    def log_message(self, format: str, *args: Any) -> None:
        """A line for each look would hide what matters."""
