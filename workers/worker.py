"""One worker process: one model, one engine, one asyncio loop that owns it, and a Celery pool of its tasks.

The loop runs in a thread of its own; Celery's consumer has the main thread, where signals arrive. SIGTERM
drains: no new job is taken, those in hand are finished within `drain_timeout`, then the process ends. What is
still unfinished then is handed over to other workers, which go on where it was left.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import celery.signals
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from shared import garbage, tracing
from shared.catalog import Model
from shared.joblog import JobWriter
from shared.queues import make_celery
from shared.registry import Registry, Report
from shared.settings import Settings
from workers import metrics, packing
from workers.consumer import make_consumer
from workers.control import Control
from workers.engines import make_engine
from workers.engines.base import Engine, EngineDied
from workers.lease import Lease
from workers.leaving import leave
from workers.outbox import Outbox
from workers.pool import make_pool
from workers.reporter import Reporter
from workers.runner import Runner
from workers.watchdog import Watchdog

log = logging.getLogger(__name__)

LAST = 15.0  # seconds after the drain deadline until the process ends, come what may


def serve(settings: Settings, model: Model, engine_kind: str | None) -> None:
    """Load the model and run its jobs until SIGTERM. Raises SetupError if it cannot be loaded."""
    engine = make_engine(model, settings.data_dir, engine_kind)
    worker_id = f"{model.id}@{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    tracing.configure(settings.otlp_endpoint, "crofai-worker")
    health = metrics.Health(settings.stall_timeout)
    metrics.listen(settings, health, engine.capacity)
    reporter = _reporter(settings, model, engine_kind or model.engine, engine, worker_id)
    reporter.start()
    with _loop() as loop:
        try:
            _load(loop, engine, reporter, settings.load_timeout)
            crew = _call(loop, _hire(settings, model, engine, worker_id))
            watchdog = Watchdog(
                engine,
                loop,
                settings.stall_timeout,
                lambda: crew.runner.progress,
                on_stall=lambda: _give_up(reporter, "the engine hangs"),
                on_death=crew.die,
            )
            watchdog.start()
            health.begin(crew.runner, lambda: watchdog.seen)
            _consume(settings, model, engine, crew, loop, reporter, health)
            watchdog.stop()
            _call(loop, crew.leave())
        finally:
            reporter.stop()
            _call(loop, engine.close())
    tracing.settle()
    if crew.died.is_set():
        raise EngineDied("the engine, or what runs beside it, has died")


def _load(loop: asyncio.AbstractEventLoop, engine: Engine, reporter: Reporter, timeout: float) -> None:
    """Load the model. A signal ends the process meanwhile: weights are read and vLLM is started in one go each."""
    try:
        _call(loop, engine.load(reporter.loading), timeout)
    except TimeoutError:
        _give_up(reporter, f"not loaded after {timeout:.0f} s")
    except (SystemExit, KeyboardInterrupt) as end:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        log.info("ended while loading")
        reporter.stop()
        leave(143 if isinstance(end, SystemExit) else 130)


class _Crew:
    """What runs beside the engine on its loop, where it must be made."""

    def __init__(self, settings: Settings, model: Model, engine: Engine, worker_id: str) -> None:
        client = _client(settings)
        live_ttl = int(settings.job_timeout * 2 + settings.log_ttl)
        writer = JobWriter(client, model.id, worker_id, live_ttl=live_ttl, log_ttl=settings.log_ttl)
        self.died = threading.Event()
        self.outbox = Outbox(writer)
        self.lease = Lease(client, model.id, settings.lease)
        self.runner = Runner(
            engine,
            self.outbox,
            writer,
            self.lease,
            max_attempts=settings.max_attempts,
            on_death=self.die,
        )
        control = Control(client, model.id, self.runner)
        self._tasks = [asyncio.create_task(c) for c in (self.outbox.run(), self.lease.keep(), control.watch())]
        for task in self._tasks:
            task.add_done_callback(self._miss)

    def die(self) -> None:
        """The process has become useless: drain, and let a new one take its place. From any thread."""
        self.died.set()
        os.kill(os.getpid(), signal.SIGTERM)

    async def leave(self) -> None:
        """Stop, once the last acknowledgements have been written."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self.lease.drained()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _miss(self, task: "asyncio.Task[None]") -> None:
        """A worker without its outbox or its lease only looks alive."""
        if not task.cancelled():
            log.error("a part of the worker has failed", exc_info=task.exception())
            self.die()


async def _hire(settings: Settings, model: Model, engine: Engine, worker_id: str) -> _Crew:
    return _Crew(settings, model, engine, worker_id)


def _client(settings: Settings) -> "redis.asyncio.Redis":
    # Retries are ours (outbox.patiently): redis-py's would repeat a call unseen.
    client = redis.asyncio.Redis.from_url(
        settings.redis_url, socket_timeout=5, socket_connect_timeout=2, retry=AsyncRetry(NoBackoff(), 0)
    )
    packing.speed_up(client)
    return client


def _consume(
    settings: Settings,
    model: Model,
    engine: Engine,
    crew: _Crew,
    loop: asyncio.AbstractEventLoop,
    reporter: Reporter,
    health: metrics.Health,
) -> None:
    """Run Celery's consumer in this thread until a signal stops it."""
    app = make_celery(settings, model=model.id, keeper=crew.lease)

    drained = threading.Event()

    def drain(how: str = "", **_: Any) -> None:
        if how == "Cold":  # a second signal; Celery would terminate jobs, which tasks of a loop are not
            _give_up(reporter, "told to end now")
        log.info("draining: %d jobs in hand", len(crew.runner.running))
        drained.set()
        reporter.draining()
        health.ready = False
        _after(settings.drain_timeout, lambda: _call(loop, crew.runner.hand_over(), timeout=None))
        _after(settings.drain_timeout + LAST, lambda: _give_up(reporter, "jobs could not be handed over"))

    def ready(**_: Any) -> None:
        if not drained.is_set():
            reporter.ready(crew.runner)
            health.ready = True

    celery.signals.worker_ready.connect(ready, weak=False)  # a signal drains from before this on
    celery.signals.worker_shutting_down.connect(drain, weak=False)
    pool = make_pool(app, crew.runner, loop)
    consumer = make_consumer(app, model=model.id, pool=pool, concurrency=engine.capacity)
    garbage.settle()
    consumer.start()
    if consumer.exitcode != os.EX_OK:
        # Celery logs what it cannot recover from, and returns as if a signal had stopped it.
        crew.died.set()


def _after(seconds: float, do: Callable[[], Any]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


def _give_up(reporter: Reporter, why: str) -> None:
    log.warning("%s: leaving unfinished jobs to their lease", why)
    reporter.stop()
    leave(1)


def _reporter(settings: Settings, model: Model, engine_kind: str, engine: Engine, worker_id: str) -> Reporter:
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
    first = Report(
        id=worker_id,
        model=model.id,
        engine=engine_kind,
        state="loading",
        detail="starting",
        capacity=engine.capacity,
        started=time.time(),
    )
    return Reporter(Registry(client, settings.report_interval), first, settings.report_interval)


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The engine's loop, in its thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="engine", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)


def _call(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], timeout: float | None = 60) -> Any:
    """Run on the engine's loop and wait. Loading takes as long as it takes; everything else is bounded."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout)
