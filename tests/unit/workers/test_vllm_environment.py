"""What vLLM's processes are told of the machine."""

import psutil
import pytest

from workers.engines.vllm import usable_cores


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)


def test_a_process_uses_the_cores_it_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda process: [0, 2], raising=False)
    assert usable_cores() == 2


def test_where_no_process_is_bound_it_uses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)  # macOS has none
    assert usable_cores() == 4
