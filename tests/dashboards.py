"""The Grafana dashboards of the chart, and the metrics that they and docs/metrics.md name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "helm" / "crofai" / "dashboards"
WORDS = {"sum", "rate", "max", "min", "by", "le", "histogram_quantile", "label_values", "perc"}


def dashboards() -> dict[str, dict[str, Any]]:
    """By the names of their files."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def metrics() -> set[str]:
    """All that the dashboards ask for."""
    return {name for board in dashboards().values() for query in _queries(board) for name in _names(query)}


def described() -> set[str]:
    """All that docs/metrics.md names in its tables, but for those that only GPUs have."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    found = {name for line in lines for name in re.findall(r"`((?:crofai|gen_ai)_[a-z_]+)`", line.split("|")[1])}
    return {name for name in found if not name.startswith("crofai_gpu")}


def _queries(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query")


def _names(query: str) -> set[str]:
    """Names of metrics: words that are followed by a selector, a range, or nothing that makes them a function."""
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\b(by|without) \([^)]*\)", "", query)
    bare = re.sub(r"label_values\((\S+), \w+\)", r"\1", bare)
    words = re.findall(r"[a-z_:]*[a-z]_[a-z_]+|vllm:[a-z_]+", re.sub(r"\$\w+", "", bare))
    return set(words) - WORDS
