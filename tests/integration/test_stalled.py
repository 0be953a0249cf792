"""Clients that stop reading, or stop sending, are cut off, and their jobs are cancelled."""

import json
import socket
from pathlib import Path

import pytest
import requests

from shared import redis_keys as keys
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration


def connect(running: Cluster) -> socket.socket:
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.settimeout(20)
    stalled.connect(("127.0.0.1", int(running.url.rsplit(":", 1)[1])))
    return stalled


def request(running: Cluster, words: int) -> bytes:
    prompt = "echo " + " ".join("x" * 200 for _ in range(words))
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": prompt}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key()}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_stalled_clients_are_cut_off(tmp_path: Path) -> None:
    models = {"m": simulated_model(tokens_per_second=500)}
    with cluster(tmp_path, models, ping_interval=1, ping_timeout=1) as running:
        gateway = running.start_gateway()
        running.start_worker("m")
        reader, sender = connect(running), connect(running)
        reader.sendall(request(running, 4000))
        sender.sendall(request(running, 10)[:-20])
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
        state = {client.hget(key, "state") for key in client.scan_iter("job:*") if client.type(key) == b"hash"}
        assert state == {b"cancelled"}
        reader.close()
        sender.close()


def test_a_message_that_is_no_frame_harms_nobody(simulated: Cluster) -> None:
    client = simulated.valkey.client
    for channel in client.pubsub_channels("gw:*"):
        client.publish(channel, b"\x00 no frame")
    body = {"messages": [{"role": "user", "content": "echo still here"}]}
    headers = {"X-API-Key": simulated.key()}
    response = requests.post(f"{simulated.url}/v1/free/fast", json=body, headers=headers, timeout=4)
    assert response.json() == {"response": "still here"}
