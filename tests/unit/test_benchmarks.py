"""What the benchmarks make of what they measure."""

from typing import Any

import pytest

from bench.architectures import ARCHITECTURES
from bench.peers import report
from bench.scaling import exponent


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama3", 8.03),
        ("llama3.1-8b", 8.03),
        ("llama3.2-1b", 1.24),
        ("mistral-7b-instruct", 7.25),
        ("qwen0.5", 0.46),
        ("tinyllama", 1.10),
        ("gemma_7b", 8.54),
        ("deepseek-r1-distill-qwen-32b", 32.8),
    ],
)
def test_architectures_have_as_many_parameters_as_their_makers_say(name: str, billions: float) -> None:
    assert ARCHITECTURES[name].parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_fp8_halves_what_a_token_needs_of_the_layers_alone() -> None:
    llama = ARCHITECTURES["llama3"]
    assert llama.bytes_per_token(fp8=False) - llama.bytes_per_token(fp8=True) == llama.layer_parameters


def test_growth_is_the_exponent_of_a_power_law() -> None:
    assert exponent({1: 5.0, 10: 5.0, 100: 5.0}) == pytest.approx(0)
    assert exponent({1: 2.0, 4: 8.0, 16: 32.0}) == pytest.approx(1)
    assert exponent({1: 3.0, 4: 6.0}) == pytest.approx(0.5)
    assert exponent({1: 3.0}) is None
    assert exponent({1: 0.0, 4: 6.0}) is None


def test_the_page_is_made_of_the_results_that_lie_beside_it() -> None:
    assert report.PAGE.read_text() == report.page()


def test_a_goal_that_is_not_measured_says_so() -> None:
    goals = list(report.of_gpu(None))
    assert [goal.held for goal in goals] == [None] * 4


def test_the_best_setting_counts_of_those_that_do_not_guess() -> None:
    def found(speed: float, limit: float | None = 600.0) -> dict[str, Any]:
        return {"engine": {"batched": 100.0}, "cluster": {"per_stream": speed, "batched": 97.0}, "limit": limit}

    settings = {"bf16": found(280.0), "fp8": found(560.0), "n-gram": found(900.0, None)}
    record = {"card": "NVIDIA H200", "streams": 64, "figures": {"llama3": settings}}
    goals = {goal.what: goal for goal in report.of_gpu(record)}
    assert goals["llama3, a stream through the cluster"].held
    assert goals["llama3, a stream through the cluster"].where == "NVIDIA H200, fp8"
    assert goals["cluster's throughput / the engine's alone, least of all models"].held
