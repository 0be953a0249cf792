"""Clients that stop reading or sending, gateways and workers that stop: what is left behind is nothing."""

import json
import signal
import socket
import time
from pathlib import Path

import pytest
import requests

from shared import redis_keys as keys
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.slow_reader import SlowReader
from tests.streams import streams
from tests.wire import dial, request

pytestmark = pytest.mark.integration


def connect(running: Cluster) -> socket.socket:
    return dial(running, buffer=4096)


def asking(running: Cluster, words: int, letters: int = 200, *, stream: bool = True) -> bytes:
    prompt = "echo " + " ".join("x" * letters for _ in range(words))
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}]})
    return request(path="/v1/chat/completions", body=body.encode(), X_API_Key=running.key())


def test_stalled_clients_are_cut_off(tmp_path: Path) -> None:
    models = {"m": simulated_model(tokens_per_second=500)}
    with cluster(tmp_path, models, ping_interval=1, ping_timeout=1) as running:
        gateway = running.start_gateway()
        running.start_worker("m")
        reader, sender = connect(running), connect(running)
        reader.sendall(asking(running, 4000))
        sender.sendall(asking(running, 10)[:-20])
        client = running.valkey.client
        wait_for(lambda: client.hlen(keys.lease("m")) == 1, 10, "the job to run")
        wait_for(
            lambda: client.hlen(keys.lease("m")) == 0, 15, "the stalled reader's job to be cancelled", gateway
        )
        answer = sender.recv(1000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        with pytest.raises(ConnectionError):
            while reader.recv(65536):
                pass
            raise ConnectionAbortedError("closed in order, but short of its end")
        assert states(running) == {b"cancelled"}
        reader.close()
        sender.close()


def test_a_slow_reader_of_a_stream_is_not_a_stalled_one(tmp_path: Path) -> None:
    """It needs longer for what the gateway has for it at once than a stalled one is waited for."""
    with cluster(
        tmp_path, {"m": simulated_model(tokens_per_second=500)}, ping_interval=1, ping_timeout=1
    ) as running:
        running.start_gateway()
        running.start_worker("m")
        reader = connect(running)
        reader.sendall(asking(running, 300, 3000))
        answer = b""
        while b"[DONE]" not in answer:
            time.sleep(0.01)
            taken = reader.recv(2500)
            assert taken, f"cut off after {len(answer)} bytes"
            answer += taken
        assert answer.count(b"x" * 3000) == 300
        reader.close()


def test_a_gateway_that_stops_leaves_no_job_behind(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=20, length=4000)}) as running:
        gateway = running.start_gateway()
        running.start_worker("m")
        reader = SlowReader(running.url, bytes_per_second=1e6)
        prompt = {"model": "m", "context": [{"role": "user", "content": "x"}], "token": running.key()}
        reader.ask(prompt)
        client = running.valkey.client
        wait_for(lambda: client.hlen(keys.lease("m")) == 1, 10, "the job to run")
        gateway.stop()
        wait_for(lambda: client.hlen(keys.lease("m")) == 0, 15, "the job to be cancelled")
        reader.close()


def test_a_gateway_that_stops_ends_its_requests(tmp_path: Path) -> None:
    """Streams, and those whose whole answer is waited for."""
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=20)}) as running:
        gateway = running.start_gateway()
        running.start_worker("m")
        clients = [connect(running) for _ in range(4)]
        for number, reader in enumerate(clients):
            reader.sendall(asking(running, 1000, 1, stream=number % 2 == 0))
        client = running.valkey.client
        wait_for(lambda: client.hlen(keys.lease("m")) == 4, 10, "the jobs to run")
        assert gateway.stop(12) == 0
        wait_for(lambda: client.hlen(keys.lease("m")) == 0, 15, "the jobs to be cancelled")
        assert states(running) == {b"cancelled"}
        for reader in clients:
            reader.close()


def states(running: Cluster) -> set[bytes]:
    """The states of all jobs."""
    client = running.valkey.client
    return {client.hget(key, "state") for key in client.scan_iter("job:*") if client.type(key) == b"hash"}


def test_a_pool_that_only_drains_takes_no_jobs(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=20)}) as running:
        running.start_gateway()
        worker = running.start_worker("m")
        with streams(running, "m", "echo " + "x " * 120, 1):
            wait_for(lambda: running.valkey.client.hlen(keys.lease("m")) == 1, 10, "the job to run")
            worker.signal(signal.SIGTERM)
            wait_for(lambda: running.registry.workers()[0].state == "draining", 10, "the worker to drain")
            wait_for(lambda: state(running, "m") == "draining", 10, "the gateway to notice")
            body = {"messages": [{"role": "user", "content": "x"}]}
            headers = {"X-API-Key": running.key()}
            response = requests.post(f"{running.url}/v1/free/m", json=body, headers=headers, timeout=10)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unavailable")


def state(running: Cluster, model: str) -> str:
    return str(requests.get(f"{running.url}/v1/models/{model}", timeout=10).json()["state"])


def test_a_message_that_is_no_frame_harms_nobody(simulated: Cluster) -> None:
    client = simulated.valkey.client
    for channel in client.pubsub_channels("gw:*"):
        client.publish(channel, b"\x00 no frame")
    body = {"messages": [{"role": "user", "content": "echo still here"}]}
    headers = {"X-API-Key": simulated.key()}
    response = requests.post(f"{simulated.url}/v1/free/fast", json=body, headers=headers, timeout=4)
    assert response.json() == {"response": "still here"}
