"""The system under test: processes that have their places, and are started again whenever they end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.subject import Subject
from tests.cluster import Cluster, Process, cluster, connects, free_port, wait_for
from tests.databases import Server, own_server

LOG_TTL = 3600  # seconds: every log is there at the end, to be looked at

SETTINGS: dict[str, Any] = {
    "outage_timeout": 20,
    "drain_timeout": 2,
    "report_interval": 0.5,
    "log_ttl": LOG_TTL,
    # A job may be struck again and again; two deaths would end it as one that kills its workers.
    "max_attempts": 1000,
}


class Place:
    """Where one process lives after the other. `struck` is held by the fault that has it at present."""

    def __init__(self, name: str, start: Callable[[], Process]) -> None:
        self.name = name
        self.struck = threading.Lock()
        self.lives = 0
        self._start = start
        self.start()

    def start(self) -> None:
        self.process = self._start()
        self.lives += 1


class System:
    """Gateways at addresses of their own, workers of one model, a Valkey as `crofai up` has it, and a database."""

    def __init__(self, running: Cluster, subject: Subject, database: Server | None = None) -> None:
        self.model = subject.model
        self._loading = subject.loading
        self.cluster = running
        self.database = database
        self.valkey = running.valkey
        self.valkey_struck = threading.Lock()
        self.keys = {True: running.key("premium"), False: running.key("free")}
        ports = [free_port() for _ in range(subject.gateways)]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.gateways = [Place(f"gateway {n}", partial(running.spawn_gateway, p)) for n, p in enumerate(ports)]
        spawn = partial(running.spawn_worker, subject.model, subject.engine)
        self.workers = [Place(f"worker {n}", spawn) for n in range(subject.workers)]
        self._ports = ports
        self.wait_until_served()
        self.wait_until_ready(subject.workers)

    @property
    def places(self) -> list[Place]:
        return [*self.gateways, *self.workers]

    def wait_until_served(self) -> None:
        """Wait for all gateways."""
        for port, place in zip(self._ports, self.gateways, strict=True):
            wait_for(partial(connects, port), 60, "a gateway to listen", place.process)

    def wait_until_ready(self, workers: int) -> None:
        """Wait for so many workers. Reports of those that were killed live on for a while: logs do not lie."""
        wait_for(lambda: sum(map(_is_ready, self.workers)) >= workers, self._loading, "workers to be ready")

    def forget_jobs(self) -> None:
        """Remove the records and logs of all jobs, which must have ended."""
        for name in self.valkey.client.scan_iter("job:*", count=1000):
            self.valkey.client.delete(name)

    def journal(self) -> list[Path]:
        """The files that Valkey appends to."""
        return list((self.valkey.folder / "appendonlydir").glob("*.incr.aof"))

    def revive(self) -> list[str]:
        """Start again what has ended by itself, which nothing should; says what."""
        found = []
        for place in self.places:
            if place.struck.acquire(blocking=False):
                try:
                    if not place.process.alive:
                        status = place.process.wait(0)
                        found.append(f"{place.name} ended by itself with {status}:\n{place.process.tail(15)}")
                        place.start()
                finally:
                    place.struck.release()
        return found

    def leave(self) -> list[str]:
        """SIGTERM to all; says what does not end in order, or stays. A worker that loads would end out of it."""
        self.wait_until_ready(len(self.workers))
        found = []
        for place in (*self.workers, *self.gateways):
            try:
                if status := place.process.stop(40):
                    found.append(
                        f"{place.name} ended with {status} when it was told to:\n{place.process.tail(15)}"
                    )
            except AssertionError as error:
                found.append(str(error))
        return found + [f"a process is left over: {process}" for process in self._left_over()]

    def _left_over(self) -> list[psutil.Process]:
        """Processes that know this system's Valkey, but for the Valkey itself."""
        return [
            process
            for process in psutil.process_iter()
            if _environment(process).get("CROFAI_REDIS_URL") == self.valkey.url
        ]


def _is_ready(worker: Place) -> bool:
    return worker.process.alive and "is ready" in worker.process.log.read_text()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


@contextmanager
def system(folder: Path, subject: Subject) -> Iterator[System]:
    """A system that is stopped at the end, whatever happens."""
    times: dict[str, Any] = {"lease": subject.lease, "job_timeout": subject.job_timeout}
    with own_server() as database:
        times["database_url"] = database.url
        with cluster(folder, subject.models, **SETTINGS, **times) as running:
            if subject.engine is None:
                running.share_weights()
            yield System(running, subject, database)
