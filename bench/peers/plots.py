"""Bars for the page of the comparison."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

COLOURS = {"engine": "#8a8f98", "litellm": "#d9822b", "crofai": "#2d72d2"}
PLOTTED = {
    "tokens_per_gateway_cpu_second": "Tokens relayed per second of the gateway's processor time",
    "jitter_p99_ms": "Jitter between tokens, p99, ms",
    "gateway_peak_mib": "Memory of the gateway at most, MiB",
}


def draw(figures: dict[str, Any], folder: Path) -> None:
    """A plot of each, as SVG, in that folder; streams are the groups."""
    folder.mkdir(exist_ok=True)
    # The same figures make the same file.
    with pyplot.rc_context({"svg.hashsalt": "crofai", "font.size": 10}):
        for name, title in PLOTTED.items():
            _bars(figures["streams"], name, title, folder / f"{name}.svg")


def _bars(streams: dict[str, Any], name: str, title: str, file: Path) -> None:
    plot, axes = pyplot.subplots(figsize=(7.2, 3.2), layout="constrained")
    width = 0.8 / len(COLOURS)
    for place, (contender, colour) in enumerate(COLOURS.items()):
        for group, found in enumerate(streams.values()):
            values = found.get(contender, {}).get(name)
            if not values:
                continue
            middle = statistics.median(values)
            bars = axes.bar(
                group + (place - 1) * width, middle, width, color=colour, label="" if group else contender
            )
            axes.bar_label(bars, fmt=f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}", fontsize=8, padding=2)
    axes.set_xticks(range(len(streams)), [f"{int(count):,} streams" for count in streams])
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plot.savefig(file, metadata={"Date": None})
    pyplot.close(plot)
