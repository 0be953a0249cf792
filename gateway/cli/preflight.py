"""What must be so before anything is started: each problem is one line that says cause and fix."""

import errno
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from gateway.listener import refused
from shared.settings import Settings

GB = 10**9
MEMORY = {"vllm": 5.5 * GB, "diffusers": 0.5 * GB}
"""What a worker was measured to take on a CPU with a model that needs no download. Large models need more."""

DISK = 1 * GB
LAST_PORT = 65535
LIBRARIES = {"vllm": "vllm", "diffusers": "diffusers"}


def problems(engines: Sequence[str], settings: Settings, port: int) -> Iterator[str]:
    """All that speaks against starting workers with these engines, and a gateway on this port."""
    yield from check_python(sys.version_info[:2])
    yield from check_port(settings.host, port)
    yield from check_metrics(settings, len(engines), port)
    yield from check_libraries(engines)


def shortages(engines: Iterable[str], data_dir: Path) -> Iterator[str]:
    """What there is too little of; the user may know better than our estimates."""
    yield from check_memory(engines, psutil.virtual_memory().available)
    yield from check_disk(data_dir, shutil.disk_usage(data_dir).free)


def check_python(version: tuple[int, ...]) -> Iterator[str]:
    if not (3, 11) <= version < (3, 13):
        yield f"Python {version[0]}.{version[1]} is not supported: use 3.11 or 3.12 (make up PYTHON=python3.11)"


def check_folder(folder: Path) -> Iterator[str]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # its logs and accounts are nobody else's
        writable = os.access(folder, os.W_OK | os.X_OK)
        cause = "" if writable else f"this user ({os.getuid()}) may not write there"
    except OSError as error:
        cause = error.strerror or str(error)
    if cause:
        yield f"the data folder {folder.absolute()} cannot be used: {cause}. Set CROFAI_DATA_DIR to another one."


def check_port(host: str, port: int) -> Iterator[str]:
    cause = refused(host, port)
    if cause and cause.errno == errno.EADDRINUSE:
        other = f'make up ARGS="--port {port + 1}"'
        yield f"port {port} is taken{_holder(port)}. Stop that, or choose another: {other}"
    elif cause:
        yield f"cannot listen on {host}:{port}: {cause.strerror}. Set CROFAI_HOST and CROFAI_PORT."


def check_metrics(settings: Settings, workers: int, port: int) -> Iterator[str]:
    """Metrics of the gateway and of so many workers have ports in a row, in which the API's `port` must not be."""
    first, host = settings.metrics_port, settings.metrics_host
    if not first:
        return
    last = first + workers
    needed = f"metrics need ports {first} to {last}"
    if last > LAST_PORT:
        yield f"{needed}, and {LAST_PORT} is the last. Set CROFAI_METRICS_PORT lower."
    elif first <= port <= last:
        yield f"{needed}, and {port} is the API's. Set CROFAI_METRICS_PORT to others."
    else:
        for number in range(first, last + 1):
            cause = refused(host, number)
            if cause and cause.errno == errno.EADDRINUSE:
                yield f"{needed}, and {number} is taken{_holder(number)}. Set CROFAI_METRICS_PORT to others."
            elif cause:
                where = "Set CROFAI_METRICS_HOST and CROFAI_METRICS_PORT"
                yield f"cannot listen on {host}:{number} for metrics: {cause.strerror}. {where}."


def check_libraries(engines: Iterable[str], installed: Mapping[str, bool] | None = None) -> Iterator[str]:
    for name in sorted({LIBRARIES[engine] for engine in engines if engine in LIBRARIES}):
        found = importlib.util.find_spec(name) is not None if installed is None else installed[name]
        if not found:
            yield f"{name} is not installed. Run: make up, or try out --engine simulated, which does without."


def check_memory(engines: Iterable[str], available: float) -> Iterator[str]:
    needed = sum(MEMORY.get(engine, 0.0) for engine in engines)
    if available < needed:
        yield (
            f"{available / GB:.1f} GB of memory are free, and these models need about {needed / GB:.1f} GB. "
            "Close something, use --no-images or --engine simulated, or start all the same with --force."
        )


def check_disk(folder: Path, free: float) -> Iterator[str]:
    if free < DISK:
        yield (
            f"{free / GB:.1f} GB of disk are free at {folder.absolute()}, and {DISK / GB:.0f} GB should be. "
            "Make room, set CROFAI_DATA_DIR to another disk, or start all the same with --force."
        )


def _holder(port: int) -> str:
    """Who listens on a port, where the system lets us see it."""
    try:
        connections = psutil.net_connections("tcp")
        pids = [c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid]
        return f" by {psutil.Process(pids[0]).name()} (process {pids[0]})" if pids else ""
    except psutil.Error:
        return ""
