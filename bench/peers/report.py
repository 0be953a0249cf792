"""The page of the comparison, made of its figures: `python -m bench.peers.report`.  docs/benchmarks.md"""

import json
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.peers import notes
from bench.peers.contenders import PLACES
from bench.peers.plots import COLOURS, PLOTTED, draw
from tests.cluster import ROOT

RESULTS = ROOT / "bench" / "results" / "peers.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"


class Goal(NamedTuple):
    """A row of the table of goals: a figure, and whether it is good enough; None is not measured."""

    what: str
    goal: str
    figure: str
    held: bool | None
    where: str
    command: str


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


def write() -> None:
    """The page and its plots, of the results that lie in their folder."""
    PAGE.write_text(page())
    draw(json.loads(RESULTS.read_text())["figures"], PLOTS)


def page() -> str:
    """The page, of the results that lie in their folder."""
    found = {name: _read(RESULTS.with_name(f"{name}.json")) for name in ("batching", "scaling", "gpu")}
    return "\n".join(_page(json.loads(RESULTS.read_text()), found)) + "\n"


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text()) if file.exists() else None


def _page(record: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    figures = record["figures"]
    yield "# Measured against the best"
    yield ""
    yield "Made by `make bench` from the results in [bench/results](../bench/results); do not edit."
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    yield (
        f"Beside its peers: `{record['command']}` on {_machine(record)}; {versions}. Clients, engine, gateway, "
        f"worker and Redis share the cores; this system has a worker for every {PLACES} streams. Figures are "
        "medians of rounds that were run in turn, with the least and the most. Who has not begun all of its "
        "streams after a minute is asked no more: a figure alone is that of one round."
    )
    yield ""
    goals = [*_of_batching(found["batching"]), *_of_peers(figures), *of_gpu(found["gpu"])]
    words = {True: "held", False: "**missed**", None: "not measured"}
    rows = [[g.what, g.goal, g.figure, words[g.held], g.where, f"`{g.command}`"] for g in goals]
    yield from _table(("measure", "goal", "figure", "", "conditions", "command"), rows)
    yield from notes.of([goal for goal in goals if goal.held is False])
    for name, title in PLOTTED.items():
        yield ""
        yield f"![{title}](benchmarks/{name}.svg)"
    for count, contenders in figures["streams"].items():
        yield from _section(f"{int(count):,} streams", _figures(contenders, STREAMS))
    yield from _section("Whole answers, at saturation", _figures(figures["whole"], WHOLE))
    yield from _section("The first token", _first_tokens(figures["first_tokens"]))
    if found["batching"]:
        yield from _section("A real engine", _batching(found["batching"]))
    if found["scaling"]:
        yield from _section("How cost grows", _scaling(found["scaling"]))
    if found["gpu"]:
        yield from _section("On a GPU", _gpu(found["gpu"]))


def _machine(record: dict[str, Any]) -> str:
    machine = record["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, {machine['date']}"
    )


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield from lines


def _of_batching(record: dict[str, Any] | None) -> Iterator[Goal]:
    """Of the cluster before a real engine, against that engine alone."""
    what = "cluster's throughput / the engine's alone, vLLM on the processor"
    command = 'make bench-batching ARGS="--peers --streams 64"'
    if record is None:
        yield Goal(what, "≥ 0.98", "", None, "64 streams", command)
        return
    ratio = record["figures"]["cluster"]["ratio"]
    low, high = record["figures"]["cluster"]["ratio_range"]
    streams = len(record["rounds"]["cluster"][0]["ttft"])
    figure = f"{ratio:.3f} ({low:.3f}–{high:.3f})"
    yield Goal(what, "≥ 0.98", figure, ratio >= 0.98, f"{streams} streams, smollm2-135m", command)


def _of_peers(figures: dict[str, Any]) -> Iterator[Goal]:
    """What was to be reached beside LiteLLM and the engine alone, and what was."""
    streams, whole = figures["streams"], figures["whole"]
    yield from _added(figures["first_tokens"])
    for count in ("16", "64", "512"):
        yield from _relayed(count, streams.get(count, {}))
    requests = {name: _median(found["requests_per_gateway_cpu_second"]) for name, found in whole.items()}
    if requests.keys() >= {"crofai", "litellm"}:
        ratio = requests["crofai"] / requests["litellm"]
        what = "whole answers per gateway CPU-second / LiteLLM's"
        yield Goal(what, "≥ 8", f"{ratio:.1f}", ratio >= 8, "64 clients, 8 tokens an answer", "make bench")
    if "2000" in streams and "jitter_p99_ms" in streams["2000"]["crofai"]:
        found = streams["2000"]["crofai"]
        where = "2,000 streams, one gateway, 5 tokens/s each"
        jitter = _median(found["jitter_p99_ms"])
        yield Goal("jitter between tokens, p99", "≤ 50 ms", f"{jitter:.1f} ms", jitter <= 50, where, "make bench")
        kb = max(found["gateway_kib_per_stream"]) * 1.024
        yield Goal("gateway's memory per stream", "≤ 50 KB", f"{kb:.1f} KB", kb <= 50, where, "make bench")


def of_gpu(record: dict[str, Any] | None) -> Iterator[Goal]:
    """Of true architectures on an H200."""
    figures = record["figures"] if record else {}
    card, streams = (record["card"], record["streams"]) if record else ("H200", 64)
    command = "make bench-gpu"
    for name, least in (("llama3", 550), ("llama3.1-8b", 500), ("llama3.2-1b", 1900)):
        what = f"{name}, a stream through the cluster"
        # What speculation brings is the text's affair, and this text means nothing.
        speeds = {
            setting: found["cluster"]["per_stream"]
            for setting, found in figures.get(name, {}).items()
            if found["limit"] is not None
        }
        if speeds:
            setting = max(speeds, key=lambda each: speeds[each])
            best = speeds[setting]
            yield Goal(what, f"≥ {least:,} tokens/s", f"{best:,.0f}", best >= least, f"{card}, {setting}", command)
        else:
            yield Goal(what, f"≥ {least:,} tokens/s", "", None, card, command)
    ratios = [
        found["cluster"]["batched"] / found["engine"]["batched"]
        for name, settings in figures.items()
        for found in settings.values()
        if name != "sdxl"
    ]
    what = "cluster's throughput / the engine's alone, least of all models"
    if ratios:
        yield Goal(
            what, "≥ 0.95", f"{min(ratios):.3f}", min(ratios) >= 0.95, f"{card}, {streams} streams", command
        )
    else:
        yield Goal(what, "≥ 0.95", "", None, f"{card}, {streams} streams", command)


def _relayed(count: str, found: dict[str, Any]) -> Iterator[Goal]:
    """What the gateway relays, against what the others' one process does."""
    name = "tokens_per_gateway_cpu_second"
    relayed = {each: _median(figures[name]) for each, figures in found.items() if name in figures}
    where = f"{count} streams"
    if relayed.keys() >= {"crofai", "litellm"}:
        ratio = relayed["crofai"] / relayed["litellm"]
        what = "tokens per gateway CPU-second / LiteLLM's"
        yield Goal(what, "≥ 20", f"{ratio:.1f}", ratio >= 20, where, "make bench")
    if relayed.keys() >= {"crofai", "engine"}:
        ratio = relayed["crofai"] / relayed["engine"]
        yield Goal("… / the bare Starlette server's own", "> 1", f"{ratio:.2f}", ratio > 1, where, "make bench")


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
        beside = f" (LiteLLM at half of its load: {theirs[part]:.1f} ms)" if theirs else ""
        held = ours[part] <= goal and (theirs is None or ours[part] < theirs[part])
        yield Goal(
            f"added time to the first token at half load, {part[:3]}",
            f"≤ {goal:g} ms, and below LiteLLM's",
            f"{ours[part]:.1f} ms{beside}",
            held,
            f"{first['most_streams']['crofai'] // 2} streams at 50 tokens/s",
            "make bench",
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


def _batching(record: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{_machine(record)}. `{record['command']}`: the same prompts, weights and arguments in turn; ratios are "
        "of rounds that ran one after the other."
    )
    yield ""
    rows = []
    for name, found in record["figures"].items():
        low, high = found["ratio_range"]
        times = [found[which][part] for which in ("ttft_batched_ms", "ttft_alone_ms") for part in ("p50", "p99")]
        ratio = f"{found['ratio']:.3f} ({low:.3f}–{high:.3f})"
        rows.append([name, f"{found['tokens_per_second']:.1f}", ratio, *(f"{each:.0f}" for each in times)])
    first = ("all at once p50", "all at once p99", "alone p50", "alone p99")
    yield from _table(("", "tokens/s", "/ in-process", *(f"first token, {each}, ms" for each in first)), rows)


def _scaling(record: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{_machine(record)}. `{record['command']}`: 256 streams at 20 tokens/s, shared by what there is; `idle` "
        "is what the system costs while nobody asks. The last column is the exponent of a power law through the "
        "values: 0 is no growth, 1 in proportion."
    )
    for name, figures in record["figures"].items():
        yield ""
        counts = list(next(iter(figures.values()))["values"])
        rows = []
        for figure, found in figures.items():
            power = "–" if found["exponent"] is None else f"{found['exponent']:.2f}"
            rows.append(
                [
                    figure.replace("_us_", " µs ").replace("_", " "),
                    *(f"{found['values'][each]:,.1f}" for each in counts),
                    power,
                ]
            )
        yield from _table((name, *(f"{int(each):,}" for each in counts), "n^"), rows)


def _gpu(record: dict[str, Any]) -> Iterator[str]:
    yield f"{record['card']}, {_machine(record)}. `{record['command']}`: true architectures, weights made up."
    yield ""
    titles = ("tokens/s", "", "a stream alone", "through the cluster", "bandwidth's limit", "told to users")
    rows = []
    for name, settings in record["figures"].items():
        for setting, found in settings.items() if name != "sdxl" else ():
            speeds = [found[who][what] for what in ("per_stream", "batched") for who in ("engine", "cluster")]
            row = [*speeds[:2], found["limit"], found["told"], *speeds[2:]]
            rows.append([name, setting, *("–" if each is None else f"{each:,.0f}" for each in row)])
    yield from _table((*titles, "batched alone", "batched through the cluster"), rows)
    if found := record["figures"].get("sdxl"):
        alone, clustered = (f"{found[who]['seconds']:.2f} s" for who in ("engine", "cluster"))
        yield ""
        yield f"SDXL, {found['size']}, {found['steps']} steps: {alone} alone, {clustered} through the cluster."


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
            counts = ", then ".join(f"{count:.0f}" for count in begun)
            rows.append([f"{name}: streams that had begun after a minute, by rounds", counts])
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
    write()
