"""Ctrl-C at a worker: it finishes what it has in hand, and ends in order; a second one ends it at once."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cluster import Cluster, Process, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.integration


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=40, length=60)}, lease=2) as running:
        running.start_gateway()
        yield running


def interrupt(worker: Process) -> None:
    worker.signal(signal.SIGINT)
    wait_for(lambda: "draining" in worker.log.read_text(), 10, "the worker to drain", worker)


def test_once(running: Cluster) -> None:
    worker = running.start_worker("m")
    with streams(running, "m", "hello", 1) as opened:
        wait_for(lambda: opened[0].texts, 10, "the stream to be under way")
        interrupt(worker)
    assert len(opened[0].text.split()) == 60
    assert worker.wait(20) == 0
    assert "died" not in worker.log.read_text()


def test_twice(running: Cluster) -> None:
    worker = running.start_worker("m")
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "echo " + "a " * 2000}]}
    url, headers = f"{running.url}/v1/chat/completions", {"X-API-Key": running.key()}
    with requests.post(url, json=body, headers=headers, stream=True, timeout=20) as response:
        next(line for line in response.iter_lines() if line.startswith(b"data: "))
        interrupt(worker)
        worker.signal(signal.SIGINT)
        assert worker.wait(20) == 1
