"""Who is compared: the engine alone, LiteLLM's proxy before it, and this system.

All three answer with the same words at the same pace. Each is one process of a gateway, as its makers start it by
default, on loopback. This system has besides as many workers as the streams need.
"""

import math
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from bench.peers import load
from tests.cluster import ROOT, Cluster, Process, Valkey, cluster, free_port, wait_for
from tests.conftest import simulated_model

LITELLM = ROOT / ".bench" / "litellm" / "bin"
KEY = "sk-bench-0123456789abcdef0123456789abcdef"
LONGEST = 8_000  # tokens of an answer
STARTS = 120.0  # seconds
PLACES = 256  # streams of a worker, as vLLM has by default; no stream waits for one


@dataclass
class Contender:
    """One of them, running. `parts` are its processes by what they do; the gateway is what clients talk to."""

    name: str
    url: str
    key: str
    parts: dict[str, list[Process]]
    redis: Valkey | None = None
    version: str = ""

    @property
    def gateway(self) -> Process:
        return self.parts["gateway"][0]

    def asking(self, **fields: Any) -> bytes:
        """A request for a chat of the one model."""
        return load.asking("m", self.key, **fields)

    def suspend(self) -> None:
        """Its gateway stands still from now on."""
        for process in _with_family(self.gateway):
            process.suspend()

    def cpu(self) -> dict[str, float]:
        """Processor seconds of each part so far."""
        return {name: sum(process.cpu() for process in part) for name, part in self.parts.items()}

    def memory(self) -> int:
        """Resident bytes of the gateway, with its children."""
        return sum(process.memory_info().rss for process in _with_family(self.gateway))

    def peak(self) -> int:
        """The most resident bytes that the gateway's processes have had, added up."""
        return sum(_high_water(process.pid) for process in _with_family(self.gateway))

    def commands(self) -> int:
        """Commands that its Redis has processed."""
        return load.commands(self.redis) if self.redis else 0


def _with_family(process: Process) -> list[psutil.Process]:
    return [psutil.Process(process.pid), *process.family()]


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def contenders(folder: Path, names: list[str], pace: float, streams: int) -> Iterator[dict[str, Contender]]:
    """Those of these names, each started and warmed up, for so many streams at most, which say `pace` tokens a
    second each."""
    with ExitStack() as stack:
        found = {}
        engine = stack.enter_context(_engine(folder, pace))
        for name in names:
            if name == "engine":
                found[name] = engine
            elif name == "litellm":
                found[name] = stack.enter_context(litellm(folder, engine.url, "m"))
            else:
                found[name] = stack.enter_context(_crofai(folder, pace, math.ceil(streams / PLACES)))
        for contender in found.values():
            _warm(contender)
        yield found


@contextmanager
def _engine(folder: Path, pace: float) -> Iterator[Contender]:
    port = free_port()
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "bench.peers.engine"]
    process = Process("engine", [*command, "--port", str(port), "--pace", str(pace)], folder / "engine.log")
    try:
        yield _started(Contender("engine", f"http://127.0.0.1:{port}", "none", {"gateway": [process]}))
    finally:
        process.kill()


@contextmanager
def litellm(folder: Path, engine: str, model: str) -> Iterator[Contender]:
    """Its proxy with a key and a Redis, before the engine of that URL, which serves that model."""
    valkey = Valkey(folder / "litellm-valkey", append_only=False).start()
    port = free_port()
    config = {
        "model_list": [
            {
                "model_name": model,
                "litellm_params": {"model": f"openai/{model}", "api_base": f"{engine}/v1", "api_key": "none"},
            }
        ],
        "general_settings": {"master_key": KEY},
        "router_settings": {"redis_host": "127.0.0.1", "redis_port": valkey.port},
        "litellm_settings": {"telemetry": False, "request_timeout": 600},
    }
    file = folder / "litellm.yaml"
    file.write_text(yaml.safe_dump(config))
    options = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    # What it would fetch from the Internet, it has at hand.
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    process = Process("litellm", [str(LITELLM / "litellm"), *options], folder / "litellm.log", env)
    try:
        parts = {"gateway": [process], "redis": [valkey.process]}
        yield _started(Contender("litellm", f"http://127.0.0.1:{port}", KEY, parts, valkey, _litellm_version()))
    finally:
        process.kill()
        valkey.client.close()
        valkey.stop()


def _litellm_version() -> str:
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    return subprocess.run(
        [LITELLM / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@contextmanager
def _crofai(folder: Path, pace: float, workers: int) -> Iterator[Contender]:
    model = simulated_model(tokens_per_second=pace, capacity=PLACES, length=LONGEST)
    model |= {"context": 2 * LONGEST, "max_tokens": LONGEST}
    with cluster(folder / "crofai", {"m": model}) as running:
        yield _of(running, workers)


def _of(running: Cluster, workers: int) -> Contender:
    parts = {
        "gateway": [running.start_gateway()],
        "worker": [running.start_worker("m") for _ in range(workers)],
        "redis": [running.valkey.process],
    }
    return Contender("crofai", running.url, running.key(), parts, running.valkey)


def _started(contender: Contender) -> Contender:
    wait_for(lambda: _answers(contender), STARTS, f"{contender.name} to answer", contender.gateway, every=0.25)
    return contender


def _answers(contender: Contender) -> bool:
    headers = {"Authorization": f"Bearer {contender.key}"}
    try:
        return httpx.get(f"{contender.url}/v1/models", headers=headers, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _warm(contender: Contender) -> None:
    """What is done once, at the first requests, is not measured."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
    with httpx.Client(headers={"Authorization": f"Bearer {contender.key}"}, timeout=60) as client:
        until = time.monotonic() + 3
        for stream in (False, True) * 50:
            answer = client.post(f"{contender.url}/v1/chat/completions", json=body | {"stream": stream})
            assert answer.status_code == 200, f"{contender.name}: {answer.text}"
            if time.monotonic() > until:
                break
