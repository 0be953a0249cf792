"""What `crofai up` is to run: the commands and environments of the gateway and the workers."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.cli.supervisor import Service
from shared.catalog import Catalog, Model
from shared.errors import SetupError
from shared.settings import Settings

DEFAULT_MODELS = ("smollm2-135m",)
DEFAULT_IMAGES = ("sdxl-tiny",)

DEFAULTS = {
    # No call home.
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    # Libraries' advice to their developers, and vLLM's on what a CPU lacks, would bury our own lines.
    "PYTHONWARNINGS": "ignore",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
"""Variables for all processes, where the user has not set them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One worker to run. `engine` is the catalogue's, or "simulated"."""

    name: str
    model: Model
    engine: str


def make(catalog: Catalog, names: Sequence[str], engine: str | None, *, images: bool) -> list[Pool]:
    """A worker for each name; a name given twice gets two. Raises ModelNotFound."""
    names = names or (*DEFAULT_MODELS, *(DEFAULT_IMAGES if images else ()))
    if engine not in (None, "simulated"):
        raise SetupError(f"--engine {engine}: only `simulated` can take the place of a model's own engine")
    pools: list[Pool] = []
    for model in (catalog.find(name) for name in names):
        before = sum(pool.model.id == model.id for pool in pools)
        name = f"{model.id}-{before + 1}" if before else model.id
        pools.append(Pool(name=name, model=model, engine=engine or model.engine))
    return pools


def gateway_service(settings: Settings, redis_url: str, port: int) -> Service:
    return Service(
        name="gateway",
        command=[sys.executable, "-m", "gateway"],
        environment=_environment(settings, redis_url) | {"CROFAI_PORT": str(port)},
        # Nothing here starts workers when jobs wait for some.
        defaults=DEFAULTS | {"CROFAI_HOLD_UNSERVED": "false"},
        stop_timeout=15,
    )


def worker_service(pool: Pool, settings: Settings, redis_url: str, number: int = 0) -> Service:
    """The worker of this number; metrics of each are at a port of their own, after the gateway's."""
    measured = {"CROFAI_METRICS_PORT": str(settings.metrics_port + 1 + number)} if settings.metrics_port else {}
    simulated = ["--engine", "simulated"] if pool.engine == "simulated" else []
    return Service(
        name=pool.name,
        command=[sys.executable, "-m", "workers", "--model", pool.model.id, *simulated],
        environment=_environment(settings, redis_url) | measured,
        defaults=DEFAULTS | _engine_defaults(pool.engine) | _hub_defaults(pool.model),
        stop_timeout=settings.drain_timeout + 10,
    )


def _environment(settings: Settings, redis_url: str) -> dict[str, str]:
    return {"CROFAI_REDIS_URL": redis_url, "CROFAI_DATA_DIR": str(settings.data_dir.absolute())}


def _engine_defaults(engine: str) -> dict[str, str]:
    if engine == "diffusers":
        # It shares the processor with the language model, which gains more from it.
        return {"OMP_NUM_THREADS": "1"}
    return {}


def _hub_defaults(model: Model) -> dict[str, str]:
    if model.weights.startswith(("package:", "random:")):
        # All of it is on this machine: no look-up of what a hub has. Other weights may have to come from there.
        return {"HF_HUB_OFFLINE": "1"}
    return {}
