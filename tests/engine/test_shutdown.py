"""A worker that is told to end while its model loads is gone at once, with all it started, and without a fuss."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.catalog import load_catalog
from tests.cluster import Cluster, Process, cluster, wait_for
from workers.weights import locate

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

MODEL = "smollm2-135m"
MOST_SECONDS = 30


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "cluster") as running:
        yield running


def test_while_vllm_starts(running: Cluster, models_folder: Path) -> None:
    locate(load_catalog().find(MODEL), models_folder, lambda share, detail: None)
    (running.folder / "models").symlink_to(models_folder / "models")
    worker = running.spawn_worker(MODEL, None)
    wait_for(lambda: engine_processes(worker), 120, "vLLM's own process", worker)
    assert_ends(running, worker)


def test_while_weights_are_unpacked(running: Cluster) -> None:
    worker = running.spawn_worker(MODEL, None)
    wait_for(lambda: "reading the weights" in worker.log.read_text(), 120, "the weights to be read", worker)
    assert_ends(running, worker)
    assert not (running.folder / "models" / MODEL).exists()


def engine_processes(worker: Process) -> list[str]:
    return [process.name() for process in worker.family() if process.name().startswith("VLLM")]


def assert_ends(running: Cluster, worker: Process) -> None:
    started = worker.family()
    told = time.monotonic()
    assert worker.stop(60) == 143
    wait_for(lambda: not any(process.is_running() for process in started), MOST_SECONDS, "its processes to go")
    assert time.monotonic() - told < MOST_SECONDS
    assert "Traceback" not in worker.log.read_text()
    assert running.registry.workers() == []
