"""One slow reader beside normal ones: it gets every byte right, they do not notice, memory stays flat."""

import time
from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.conftest import simulated_model
from tests.slow_reader import SlowReader
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
