"""An upgrade leaves as many replicas as an autoscaler has set, or as there were before it."""

import pytest

from tests.apiserver import ApiServer
from tests.chart import FEWEST, Object, one

GATEWAY, WORKER = "demo-crofai-gateway", "demo-crofai-llama3"


def scaled(least: int, scaler: str = "keda") -> Object:
    gateway = {"autoscaling": {"enabled": True, "min": 3, "max": 9}}
    pool = {"llama3": {"autoscaling": {"min": least, "max": 8}}}
    return FEWEST | {"gateway": gateway, "models": pool, scaler: {"enabled": True}}


def replicas(cluster: ApiServer, values: Object, **how: bool) -> list[int]:
    objects = cluster.rendered(values, **how)
    return [one(objects, "Deployment", name)["spec"]["replicas"] for name in (GATEWAY, WORKER)]


def live(cluster: ApiServer, **replicas: int) -> None:
    for name, count in replicas.items():
        full = f"demo-crofai-{name}"
        cluster.deployments[full] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": full, "namespace": "ns"},
            "spec": {"replicas": count},
        }


@pytest.mark.parametrize("least", [0, 2])
def test_a_pool_begins_with_the_least(cluster: ApiServer, least: int) -> None:
    assert replicas(cluster, scaled(least), is_install=True) == [3, least]
    live(cluster, qwen=5)
    assert replicas(cluster, scaled(least), is_upgrade=True) == [3, least]


def test_who_runs_goes_on(cluster: ApiServer) -> None:
    live(cluster, gateway=7, llama3=5)
    assert replicas(cluster, scaled(0), is_upgrade=True) == [7, 5]


def test_who_is_scaled_to_none_stays_so(cluster: ApiServer) -> None:
    live(cluster, gateway=3, llama3=0)
    assert replicas(cluster, scaled(0), is_upgrade=True) == [3, 0]


def test_an_hpa_finds_at_least_one(cluster: ApiServer) -> None:
    """It leaves alone who has none."""
    live(cluster, gateway=3, llama3=0)
    assert replicas(cluster, scaled(1, "hpa"), is_upgrade=True) == [3, 1]


def test_a_number_of_ones_own_comes_first(cluster: ApiServer) -> None:
    live(cluster, gateway=7, llama3=5)
    fixed = FEWEST | {"models": {"llama3": {"replicas": 2}}}
    assert replicas(cluster, fixed, is_upgrade=True) == [2, 2]
    assert not [path for path in cluster.asked if "deployments" in path]
