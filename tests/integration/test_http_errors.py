"""Errors that only a real HTTP connection can provoke."""

import pytest
import requests

from tests.cluster import Cluster

pytestmark = pytest.mark.integration


def test_a_wrong_method_is_told_the_right_ones(simulated: Cluster) -> None:
    response = requests.get(f"{simulated.url}/v1/chat/completions", timeout=10)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_a_model_without_workers_is_worth_another_try(simulated: Cluster) -> None:
    headers = {"X-API-Key": simulated.key()}
    body = {"messages": [{"role": "user", "content": "hi"}]}
    response = requests.post(f"{simulated.url}/v1/free/idle", json=body, headers=headers, timeout=10)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
