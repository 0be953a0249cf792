"""How soon is the engine free once a client has left?  `make bench-leaving`

Clients that drop their connections: one that reads a stream, one that waits for a whole answer, one of Socket.IO,
one that waits in the queue, one that waits for an image. Measured from the closing of the socket to the job's end
in its log, which the worker writes when the engine has let go of it; of a waiting job, to its leaving the queue.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from socket import SHUT_RDWR
from typing import Any

import redis
import requests
import socketio
from urllib3.connection import HTTPConnection

from bench.machine import save
from shared import redis_keys as keys
from shared.messages import Frame, decode_frames
from tests.cluster import ROOT, Cluster, cluster, wait_for
from tests.conftest import simulated_model

PATIENCE = 30.0  # seconds for one event
SAID = {"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 1500}


class Frames:
    """What the workers publish to the gateway, with the time of each."""

    def __init__(self, running: Cluster) -> None:
        self._pubsub = running.valkey.client.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.psubscribe(keys.gateway_channel("*"))
        self._frames: Queue[tuple[float, Frame]] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ended(self, job: str) -> float:
        """Wait for a job's end; when it came."""
        while True:
            when, frame = self._frames.get(timeout=PATIENCE)
            if frame.job == job and frame.chunks and frame.chunks[-1].end is not None:
                return when

    def _listen(self) -> None:
        # Its server is stopped at the end.
        with suppress(redis.ConnectionError):
            for message in self._pubsub.listen():
                if message["type"] == "pmessage":
                    for frame in decode_frames(message["data"]):
                        self._frames.put((time.perf_counter(), frame))


class Bench:
    def __init__(self, running: Cluster, chat: str, image: str) -> None:
        self._running = running
        self._key = running.key()
        self._chat, self._image = chat, image
        self._frames = Frames(running)
        self.cases: dict[str, Callable[[], float]] = {
            "stream": lambda: self._drop("/v1/chat/completions", {"model": chat, "stream": True} | SAID),
            "whole answer": lambda: self._drop("/v1/chat/completions", {"model": chat} | SAID),
            "Socket.IO": self._drop_socket,
            "image": lambda: self._drop(f"/v1/premium/{image}", {"prompt": "a cat", "steps": 50}),
            "in the queue": self._drop_waiting,
        }

    def _drop(self, path: str, body: dict[str, object]) -> float:
        model = str(body.get("model", self._image))
        self._idle(model)
        with self._asked(path, body) as connection:
            job = self._begun(model)
            left = time.perf_counter()
            connection.close()
            return self._frames.ended(job) - left

    def _drop_socket(self) -> float:
        self._idle(self._chat)
        client = socketio.SimpleClient(reconnection=False)
        client.connect(self._running.url, transports=["websocket"])
        context = SAID["messages"]
        client.emit("prompt", {"model": self._chat, "context": context, "token": self._key, "max_tokens": 1500})
        job = self._begun(self._chat)
        left = time.perf_counter()
        client.client.eio.ws.sock.shutdown(SHUT_RDWR)
        took = self._frames.ended(job) - left
        client.disconnect()
        return took

    def _drop_waiting(self) -> float:
        waiting = keys.waiting("full", "premium")
        valkey = self._running.valkey.client
        with self._asked("/v1/chat/completions", {"model": "full"} | SAID) as connection:
            _until(lambda: valkey.zcard(waiting) == 1)
            left = time.perf_counter()
            connection.close()
            _until(lambda: valkey.zcard(waiting) == 0)
            return time.perf_counter() - left

    def _begun(self, model: str) -> str:
        """Wait until the one job of a model runs: a worker has it. Its id."""
        valkey = self._running.valkey.client
        _until(lambda: valkey.hlen(keys.lease(model)) == 1)
        messages: Any = valkey.hvals(keys.lease(model))
        message, *_ = json.loads(messages[0])  # with its address
        return str(message["headers"]["id"])

    def _idle(self, model: str) -> None:
        """Wait until the one before is gone."""
        _until(lambda: self._running.valkey.client.hlen(keys.lease(model)) == 0)

    @contextmanager
    def _asked(self, path: str, body: dict[str, object]) -> Iterator[HTTPConnection]:
        host, port = self._running.url.removeprefix("http://").split(":")
        connection = HTTPConnection(host, int(port), timeout=PATIENCE)
        headers = {"X-API-Key": self._key, "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def full_queue(running: Cluster) -> Iterator[None]:
    """The model `full` has one place, and it is taken."""
    body = {"model": "full", "stream": True} | SAID
    headers = {"X-API-Key": running.key()}
    url = f"{running.url}/v1/chat/completions"
    with requests.post(url, json=body, headers=headers, stream=True, timeout=PATIENCE) as taken:
        lines = taken.iter_lines()  # dropping it closes the connection
        next(lines)
        yield


def _until(condition: Callable[[], bool]) -> None:
    """Wait, and look often enough for what is measured in milliseconds."""
    wait_for(condition, PATIENCE, "a job to come where it should be, or to leave", every=0.0005)


def figures(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles((1000 * value for value in seconds), n=100, method="inclusive")
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1), "most_ms": round(1000 * max(seconds), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=200, help="of each kind of client")
    parser.add_argument("--simulated", action="store_true", help="no real engines")
    parser.add_argument("--out", type=Path, help="default: bench/results/leaving.json, if engines are real")
    args = parser.parse_args()
    models = {
        "chat": simulated_model(tokens_per_second=50, length=1500),
        "picture": simulated_model(kind="image", tokens_per_second=50, steps=50),
        "full": simulated_model(tokens_per_second=0.5, capacity=1, length=4000),
    }
    chat, image = ("chat", "picture") if args.simulated else ("smollm2-135m", "sdxl-tiny")
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), models) as running:
        running.share_weights()
        running.start_gateway()
        for model in (chat, image, "full"):
            running.start_worker(model, None, timeout=300)
        with full_queue(running):
            cases = Bench(running, chat, image).cases
            print(f"{args.tries} tries each; {chat}, {image}     p50       p99      most")
            results = {}
            for case, drop in cases.items():
                drop()
                results[case] = figures([drop() for _ in range(args.tries)])
                print(f"  {case:30}" + "".join(f"{value:7.1f} ms" for value in results[case].values()), flush=True)
    out = args.out or (None if args.simulated else ROOT / "bench" / "results" / "leaving.json")
    if out:
        save(out, results)


if __name__ == "__main__":
    main()
