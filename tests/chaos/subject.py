"""What a run is made on: simulated engines, or vLLM on a smaller scale."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.questions import Questions, answered, words_of_their_own
from tests.conftest import simulated_model


@dataclass(frozen=True)
class Subject:
    """A model, its size and its times, which are in seconds.

    `models` is the operator's catalogue; `engine` None is the model's own. `rate` is process faults a minute.
    `learn` gives the questions, once there is a gateway to ask (its URL, and a key).
    """

    model: str
    models: dict[str, Any]
    engine: str | None
    gateways: int
    workers: int
    clients: int
    lease: float
    job_timeout: float
    loading: float
    rate: float
    learn: Callable[[str, str], Questions]

    @property
    def patience(self) -> float:
        """Longer than any job may take."""
        return self.job_timeout + 10


SIMULATED = Subject(
    model="m",
    models={"m": simulated_model(tokens_per_second=25, capacity=12)},
    engine="simulated",
    gateways=2,
    workers=3,
    clients=24,
    lease=2,
    job_timeout=90,
    loading=120,
    rate=20,
    learn=lambda url, key: words_of_their_own("m"),
)


def _any_answered(url: str, key: str) -> Questions:
    known = answered(url, key, "smollm2-135m", most=80)
    return lambda dice, number: dice.choice(known)


# A worker that is killed is away for as long as its model loads, and all engines share the processor.
VLLM = Subject(
    model="smollm2-135m",
    # The 2 GB that are shipped are for 64 long answers; here memory is for several workers.
    models={"smollm2-135m": {"engine_args": {"kv_cache_memory_bytes": 256 * 2**20}}},
    engine=None,
    gateways=2,
    workers=2,
    clients=8,
    lease=5,
    job_timeout=300,
    loading=400,
    rate=3,
    learn=_any_answered,
)
