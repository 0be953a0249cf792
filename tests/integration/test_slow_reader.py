"""Slow readers, beside normal ones: they get every byte right, nobody notices, memory stays flat."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster, cluster
from tests.conftest import simulated_model
from tests.slow_reader import SlowPoller, SlowReader
from tests.streams import streams

pytestmark = pytest.mark.integration

PACE = 10 * 1024
"""Bytes per second: ten times a reader at 1 KB/s, with a tenth of the default patience with it (25 and 120 s)."""
PATIENCE = {"ping_interval": 2.5, "ping_timeout": 12}
WORDS = [f"{number:04}{'x' * 196}" for number in range(2000)]  # 400 KB of text
NORMAL = " ".join(f"w{number}" for number in range(400))


def test_a_slow_reader_gets_all_and_costs_nobody_anything(tmp_path: Path) -> None:
    """The engine is done with the long text long before its reader is: the rest must wait in the job's log."""
    models = {
        "long": simulated_model(tokens_per_second=800, length=4000),
        "normal": simulated_model(tokens_per_second=50),
    }
    with cluster(tmp_path, models, **PATIENCE) as running:
        gateway = running.start_gateway()
        running.start_worker("long")
        running.start_worker("normal")
        reader = SlowReader(running.url, PACE)
        with streams(running, "normal", f"echo {NORMAL}", 20) as opened:
            before = gateway.rss()
            prompt = {"role": "user", "content": "echo " + " ".join(WORDS)}
            reader.ask({"model": "long", "context": [prompt], "token": running.key()})
            start = time.monotonic()
            events = reader.read()
            took = time.monotonic() - start
        grown = gateway.rss() - before
        prompt = {"role": "user", "content": "echo again"}
        reader.ask({"model": "long", "context": [prompt], "token": running.key()})
        assert ("chunk", "again") in reader.read(), "the connection was lost"
        reader.close()
    text = "".join(data for event, data in events if event == "chunk")
    assert text == " ".join(WORDS) + "ENDOFMESSAGE"
    assert took > 2 * sum(PATIENCE.values()), "the reader was not slow"
    for stream in opened:
        assert stream.text == NORMAL
    # The text is 0.4 MB and its chunks' JSON four times that; what is held for one reader is bounded far below.
    assert grown < 16 * 2**20, f"the gateway grew by {grown / 2**20:.1f} MiB"


EMOJI = "😀" * 16_000  # 190 KB as Socket.IO writes it
SHORT = {"ping_interval": 1, "ping_timeout": 4}
LOG_TTL = 4


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Cluster]:
    """A gateway that waits for nobody long."""
    models = {"m": simulated_model(tokens_per_second=800)}
    with cluster(tmp_path, models, **SHORT, log_ttl=LOG_TTL) as running:
        running.start_gateway()
        running.start_worker("m")
        yield running


def test_text_that_grows_on_the_way_is_slow_as_well(impatient: Cluster) -> None:
    reader = SlowReader(impatient.url, 1.5 * PACE)
    reader.ask(prompt(impatient, EMOJI))
    start = time.monotonic()
    text = "".join(data for event, data in reader.read() if event == "chunk")
    assert text == EMOJI + "ENDOFMESSAGE"
    assert time.monotonic() - start > 2 * sum(SHORT.values()), "the reader was not slow"
    reader.ask(prompt(impatient, "again"))
    assert ("chunk", "again") in reader.read(), "the connection was lost"
    reader.close()


def test_so_it_is_by_polling(impatient: Cluster) -> None:
    reader = SlowPoller(impatient.url, 1.5 * PACE)
    reader.send("42" + json.dumps(["prompt", prompt(impatient, EMOJI)]))
    text = ""
    while not text.endswith("ENDOFMESSAGE"):
        events = [json.loads(packet[2:]) for packet in reader.poll() if packet.startswith("42")]
        text += "".join(data for event, data in events if event == "chunk")
    assert text == EMOJI + "ENDOFMESSAGE"


def test_a_log_lives_while_it_is_read(impatient: Cluster) -> None:
    """Some hundred large chunks are more than is read in its lifetime."""
    body = {"stream": True, **prompt(impatient, " ".join(["x" * 2000] * 400))}
    body["messages"], headers = body.pop("context"), {"X-API-Key": body.pop("token")}
    url, answer = f"{impatient.url}/v1/chat/completions", b""
    start = time.monotonic()
    with requests.post(url, json=body, headers=headers, stream=True, timeout=20) as response:
        for taken in response.iter_content(4096):
            answer += taken
            time.sleep(len(taken) / 75_000)
    assert answer.count(b"x" * 2000) == 400
    assert time.monotonic() - start > 2 * LOG_TTL, "the reader was not slow"


def prompt(running: Cluster, text: str) -> dict[str, Any]:
    return {"model": "m", "context": [{"role": "user", "content": f"echo {text}"}], "token": running.key()}
