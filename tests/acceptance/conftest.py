"""Two clusters: one that serves every name of the document with simulated engines, and one with real engines."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from shared.catalog import load_catalog
from tests.acceptance.printed import Printed
from tests.acceptance.said import LENGTHS
from tests.cluster import Cluster, cluster, wait_for
from tests.parity.requests import MODELS

REAL_MODELS = {
    # The printed image client asks for stable_diffusion: here it gets SDXL's architecture in small.
    "stable_diffusion": None,
    "sdxl-tiny": {"aliases": ["stable_diffusion"]},
    # The printed streams leave the length to the model: here it is short, and there are tools.
    **MODELS,
}


@pytest.fixture(scope="package")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The catalogue's 16 models of the document, under all their names, on simulated engines."""
    shipped = load_catalog().models
    models = {
        name: {
            "engine": "simulated",
            "kind": shipped[name].kind,
            "engine_args": {"length": length, "tokens_per_second": 50},
        }
        for name, length in LENGTHS.items()
    }
    with cluster(tmp_path_factory.mktemp("named"), models) as running:
        running.start_gateway()
        start_workers(running, models, patience=90)
        yield running


@pytest.fixture(scope="package")
def real(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Cluster]:
    """smollm2-135m on vLLM and sdxl-tiny on diffusers. A minute to start, and 40 s more in a fresh clone."""
    folder = tmp_path_factory.mktemp("real")
    # Weights are unpacked where `make up` looks for them, too, so that it is done once.
    (models_folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models_folder / "models")
    with cluster(folder, REAL_MODELS, report_interval=0.1, canary_interval=60) as running:
        running.measured = True
        running.start_gateway()
        start_workers(running, ["smollm2-135m", "sdxl-tiny"], patience=300)
        yield running


@pytest.fixture
def printed(named: Cluster, tmp_path: Path) -> Printed:
    """The printed clients, of the cluster of all names."""
    return Printed(named.url, named.key("free"), tmp_path)


def start_workers(running: Cluster, models: Iterable[str], *, patience: float) -> None:
    """A worker for each, all started at once; waits until all are ready. `patience` is in seconds, for each."""
    workers = {model: running.spawn_worker(model, engine=None) for model in models}
    for model, worker in workers.items():
        wait_for(
            lambda model=model: any(report.state == "ready" for report in running.registry.workers(model)),
            patience,
            f"a worker for {model} to be ready",
            worker,
        )
