"""What a gateway holds for those who wait for an answer: nothing of what they have asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared import redis_keys as keys
from tests import wire
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.slow_reader import SlowReader

pytestmark = pytest.mark.integration

PROMPT = "echo " + " ".join("x" * 10_000 for _ in range(90))
MESSAGES = [{"role": "user", "content": PROMPT}]
FIRST = 3  # they grow what is used again
COUNT = 20

Ask = Callable[[Cluster, str], Any]
"""Asks for an answer; what it returns keeps the connection open."""


def post(path: str, **body: Any) -> Ask:
    def ask(running: Cluster, key: str) -> Any:
        raw = wire.dial(running)
        whole = json.dumps(body | {"messages": MESSAGES}).encode()
        raw.sendall(wire.request(path=path, body=whole, X_API_Key=key, Idempotency_Key=f"{id(raw)}"))
        return raw

    return ask


def emit(running: Cluster, key: str) -> Any:
    client = SlowReader(running.url, 1e9)
    client.ask({"model": "m", "context": MESSAGES, "token": key})
    return client


WAYS: dict[str, tuple[Ask, float]] = {
    "stream": (post("/v1/chat/completions", model="m", stream=True), 0.5),
    "whole": (post("/v1/chat/completions", model="m"), 0.5),
    "seed": (post("/v1/free/m"), 0.5),
    # Engine.IO keeps a client's last packet until the next comes.
    "Socket.IO": (emit, 1.5),
}
"""How to ask, and how much of a prompt may be held for it."""


@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_is_not_held_while_its_answer_is_waited_for(tmp_path: Path, way: str) -> None:
    ask, most = WAYS[way]
    with cluster(tmp_path, {"m": simulated_model(tokens_per_second=0.2, capacity=64)}) as running:
        gateway = running.start_gateway()
        running.start_worker("m")
        key, client, opened = running.key(), running.valkey.client, []
        for number in range(1, FIRST + COUNT + 1):
            opened.append(ask(running, key))
            wait_for(
                lambda number=number: client.zcard(keys.open_jobs("m")) == number,
                10,
                "a job to be admitted",
                gateway,
            )
            if number == FIRST:
                before = gateway.rss()
        held = (gateway.rss() - before) / (COUNT * len(PROMPT))
        for connection in opened:
            connection.close()
    assert held < most, f"{held:.1f} of each prompt is held"
