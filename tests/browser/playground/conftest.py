"""One cluster of simulated models for all tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster, cluster
from tests.conftest import simulated_model


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Nobody serves `cold`, `lazy`, `never` and `loads`, unless a test has it so."""
    models = {
        "fast": simulated_model(tokens_per_second=400),
        "slow": simulated_model(tokens_per_second=20, length=2000),
        "narrow": simulated_model(tokens_per_second=20, capacity=1),
        "cold": simulated_model(tokens_per_second=100),
        "never": simulated_model(),
        "loads": simulated_model(),
        "lazy": simulated_model(startup=8),
        "pictures": simulated_model("image", tokens_per_second=10),
    }
    settings: dict[str, Any] = {"hold_unserved": True, "hold": 60, "report_interval": 0.2}
    with cluster(tmp_path_factory.mktemp("playground"), models, **settings) as running:
        running.start_gateway()
        for name in ("fast", "slow", "narrow", "pictures"):
            running.start_worker(name)
        yield running
