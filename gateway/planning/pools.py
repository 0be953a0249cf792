"""What planning needs to know of a model's pool, and the requests that come to it."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.catalog import Model

HOUR = 3600.0
DAY = 24 * HOUR
WEEK = 7 * DAY

ENGINE_START = 45.0  # seconds of a replica's start beside reading its weights: pod, engine, CUDA graphs
READ_RATE = 1.0  # GB of weights a second, from a cache on or near the machine
GPU_GB = 80.0  # of weights, for each GPU of a model whose name does not tell its size
SLOWDOWN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """All replicas of a model. `gpus` and `slots` (jobs at once) are of one replica; `startup` is in seconds.

    A full batch is served 1 + `slowdown` times as slowly as a job alone. Promised pools always have a replica.
    """

    model: str
    gpus: int = 1
    slots: int = 1
    startup: float = 60.0
    promised: bool = True
    slowdown: float = SLOWDOWN

    def pace(self, running: float) -> float:
        """What a job's time is multiplied by, if its replica has so many. Times are told for a half-full batch."""
        fill = max(0.0, running - 1) / (self.slots - 1) if self.slots > 1 else 0.5
        return (1 + self.slowdown * min(1.0, fill)) / (1 + self.slowdown / 2)


class Arrivals(NamedTuple):
    """The requests for one model, by time: when each came, and for how long it was served. In seconds."""

    times: Sequence[float]
    services: Sequence[float]


class Goal(NamedTuple):
    """This share of all requests is to begin within so many seconds."""

    share: float = 0.95
    wait: float = 10.0


def pool(model: Model, *, promised: bool = True, startup: float | None = None) -> Pool:
    """A catalogue entry's. A worker of images takes as many as are in its batch, and as many that wait in it."""
    images = model.engine == "diffusers"
    return Pool(
        model=model.id,
        gpus=gpus(model),
        slots=slots(model),
        startup=usual_startup(model) if startup is None else startup,
        promised=promised,
        slowdown=1.0 if images else SLOWDOWN,
    )


def gpus(model: Model) -> int:
    """Of one replica; one, too, for what runs without."""
    if model.engine != "vllm":
        return 1
    ways = (model.engine_args.get(f"{kind}_parallel_size", 1) for kind in ("pipeline", "data"))
    return model.tensor_parallel * math.prod(map(int, ways))


def slots(model: Model) -> int:
    """Jobs that one replica takes at once."""
    if model.engine == "diffusers":
        return 2 * model.image_args.batch
    simulated = model.engine == "simulated"
    return int(model.engine_args.get("capacity", 64) if simulated else model.engine_args.get("max_num_seqs", 256))


def usual_startup(model: Model) -> float:
    """Seconds until a replica takes jobs, by its weights' size: from 46 s to 14 min, for 405B in bfloat16."""
    if model.engine == "simulated":
        return float(model.engine_args.get("startup", 0))
    if model.engine == "diffusers":
        return 60.0
    return round(ENGINE_START + _weights_gb(model) / READ_RATE)


def _weights_gb(model: Model) -> float:
    found = [float(size) for size in re.findall(r"(\d+(?:\.\d+)?)b\b", f"{model.id} {model.weights}".lower())]
    if not found:
        return gpus(model) * GPU_GB if gpus(model) > 1 else 16.0
    bytes_each = 1 if "fp8" in f"{model.weights} {model.quantization}".lower() else 2
    return max(found) * bytes_each


def promised_models(tiers: Collection[Collection[str] | None]) -> set[str]:
    """Those that some tier names: whose accounts may count on them. A tier for all models names none."""
    return {model for models in tiers for model in models or ()}
