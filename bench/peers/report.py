"""The page of the comparison, made of its figures: `python -m bench.peers.report`.  docs/benchmarks.md"""

import json
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.peers.plots import COLOURS, PLOTTED, draw
from tests.cluster import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"


class Goal(NamedTuple):
    """A row of the table of goals: a figure, and whether it is good enough."""

    what: str
    goal: str
    figure: str
    held: bool


class Shown(NamedTuple):
    """A figure of the streams, as it is shown."""

    name: str
    title: str
    digits: int


STREAMS = (
    Shown("tokens_per_gateway_cpu_second", "tokens per gateway CPU-second", 0),
    Shown("of_the_pace", "of the engine's pace", 3),
    Shown("ttft_p50_ms", "first token, all at once, p50, ms", 0),
    Shown("jitter_p50_ms", "jitter p50, ms", 2),
    Shown("jitter_p99_ms", "jitter p99, ms", 1),
    Shown("gateway_kib_per_stream", "gateway memory per stream, KiB", 1),
    Shown("gateway_peak_mib", "gateway memory at most, MiB", 0),
    Shown("gateway_us_per_token", "gateway CPU per token, µs", 1),
    Shown("worker_us_per_token", "worker CPU per token, µs", 1),
    Shown("redis_us_per_token", "Redis CPU per token, µs", 1),
    Shown("redis_commands_per_token", "Redis commands per token", 2),
)
WHOLE = (
    Shown("requests_per_gateway_cpu_second", "requests per gateway CPU-second", 0),
    Shown("requests_per_second", "requests per second", 0),
    Shown("latency_p50_ms", "latency p50, ms", 1),
    Shown("latency_p99_ms", "latency p99, ms", 1),
    Shown("worker_us_per_request", "worker CPU per request, µs", 0),
    Shown("redis_us_per_request", "Redis CPU per request, µs", 0),
)


def write(file: Path) -> None:
    """The page and its plots, of a file of results."""
    record = json.loads(file.read_text())
    PAGE.write_text("\n".join(_page(record)) + "\n")
    draw(record["figures"], PLOTS)


def _page(record: dict[str, Any]) -> Iterator[str]:
    figures, machine = record["figures"], record["machine"]
    yield "# Beside its peers"
    yield ""
    yield "Made by `make bench` from [bench/results/peers.json](../bench/results/peers.json); do not edit."
    yield ""
    versions = ", ".join(f"{name} {found}" for name, found in figures["versions"].items())
    yield (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, {machine['date']}; {versions}. Clients, engine, gateway, worker and Redis "
        "share the cores. Figures are medians of rounds that were run in turn, with the least and the most."
    )
    yield ""
    rows = [[goal.what, goal.goal, goal.figure, "held" if goal.held else "**missed**"] for goal in goals(figures)]
    yield from _table(("measure", "goal", "figure", ""), rows)
    for name, title in PLOTTED.items():
        yield ""
        yield f"![{title}](benchmarks/{name}.svg)"
    for count, found in figures["streams"].items():
        yield ""
        yield f"## {int(count):,} streams"
        yield ""
        yield from _figures(found, STREAMS)
    yield ""
    yield "## Whole answers, at saturation"
    yield ""
    yield from _figures(figures["whole"], WHOLE)
    yield ""
    yield "## The first token"
    yield ""
    yield from _first_tokens(figures["first_tokens"])


def goals(figures: dict[str, Any]) -> Iterator[Goal]:
    """What was to be reached, and what was."""
    streams, whole = figures["streams"], figures["whole"]
    for count in ("16", "64", "512"):
        yield from _relayed(count, streams.get(count, {}))
    requests = {name: _median(found["requests_per_gateway_cpu_second"]) for name, found in whole.items()}
    if requests.keys() >= {"crofai", "litellm"}:
        ratio = requests["crofai"] / requests["litellm"]
        yield Goal("whole answers per gateway CPU-second / LiteLLM's", "≥ 8", f"{ratio:.1f}", ratio >= 8)
    if "2000" in streams and "jitter_p99_ms" in streams["2000"]["crofai"]:
        found = streams["2000"]["crofai"]
        jitter, memory = _median(found["jitter_p99_ms"]), max(found["gateway_kib_per_stream"])
        yield Goal("2,000 streams, one gateway: jitter p99", "≤ 50 ms", f"{jitter:.1f} ms", jitter <= 50)
        kb = memory * 1.024
        yield Goal("2,000 streams, one gateway: memory per stream", "≤ 50 KB", f"{kb:.1f} KB", kb <= 50)
    yield from _added(figures["first_tokens"])


def _relayed(count: str, found: dict[str, Any]) -> Iterator[Goal]:
    """What the gateway relays, against what the others' one process does."""
    name = "tokens_per_gateway_cpu_second"
    relayed = {each: _median(figures[name]) for each, figures in found.items() if name in figures}
    if relayed.keys() >= {"crofai", "litellm"}:
        ratio = relayed["crofai"] / relayed["litellm"]
        yield Goal(
            f"tokens per gateway CPU-second / LiteLLM's, {count} streams", "≥ 20", f"{ratio:.1f}", ratio >= 20
        )
    if relayed.keys() >= {"crofai", "engine"}:
        ratio = relayed["crofai"] / relayed["engine"]
        yield Goal(f"… / the bare Starlette server's own, {count} streams", "> 1", f"{ratio:.2f}", ratio > 1)


def _added(first: dict[str, Any]) -> Iterator[Goal]:
    """Of this system at half its load, and of LiteLLM at half of its."""
    added = {}
    for name, most in first["most_streams"].items():
        load = first["loads"][str(max(1, most // 2))]
        added[name] = {
            part: _median(load[name][part]) - _median(load["engine"][part]) for part in ("p50_ms", "p99_ms")
        }
    if "crofai" not in added:
        return
    ours, theirs = added["crofai"], added.get("litellm")
    for part, goal in (("p50_ms", 5.0), ("p99_ms", 15.0)):
        beside = f" (LiteLLM at its half load: {theirs[part]:.1f} ms)" if theirs else ""
        held = ours[part] <= goal and (theirs is None or ours[part] < theirs[part])
        yield Goal(
            f"added time to the first token at half load, {part[:3]}",
            f"≤ {goal:g} ms, and below LiteLLM's",
            f"{ours[part]:.1f} ms{beside}",
            held,
        )


def _first_tokens(first: dict[str, Any]) -> Iterator[str]:
    names = {name for load in first["loads"].values() for name in load}
    most = ", ".join(f"{name} {count}" for name, count in first["most_streams"].items())
    yield (
        "Requests come at random times. Most streams at 50 tokens/s that kept 95 % of their pace: "
        f"{most}. Below are half of these, open on average; who cannot serve as many is left out."
    )
    yield ""
    ordered = [name for name in COLOURS if name in names]
    rows = [[count, *(_both(load.get(name)) for name in ordered)] for count, load in first["loads"].items()]
    yield from _table(("streams", *(f"{name} p50, p99, ms" for name in ordered)), rows)


def _both(load: dict[str, list[float]] | None) -> str:
    return f"{_median(load['p50_ms']):.1f}, {_median(load['p99_ms']):.1f}" if load else "–"


def _figures(found: dict[str, dict[str, list[float]]], shown: Iterable[Shown]) -> Iterator[str]:
    rows = []
    for name, title, digits in shown:
        if any(name in figures for figures in found.values()):
            rows.append([title, *(_spread(figures.get(name), digits) for figures in found.values())])
    for name, figures in found.items():
        begun = figures.get("begun", [])
        if begun and min(begun) < max(max(each["begun"]) for each in found.values()):
            rows.append([f"{name}: streams that had begun after a minute", f"{min(begun):.0f}"])
    yield from _table(("", *found), rows)


def _spread(values: list[float] | None, digits: int) -> str:
    if not values:
        return "–"
    middle = f"{_median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(head)
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for row in rows:
        cells = list(row)
        yield "| " + " | ".join(cells + [""] * (len(titles) - len(cells))) + " |"


def _median(values: list[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    write(ROOT / "bench" / "results" / "peers.json")
