"""`crofai top`: each model's workers and jobs, as they are now."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gateway.cli import tables
from gateway.cli.admin import connect
from gateway.cli.api import Url
from gateway.cli.failures import CommandFailed, NotReady
from gateway.cli.following import told_to_end
from gateway.cli.keyboard import Keyboard
from gateway.cli.plain import one_line
from gateway.cli.units import seconds

COLUMNS = ("model", "workers", "in flight", "waiting", "tokens/s", "TTFT p50", "p99")
LEAST = ("p99", "TTFT p50", "in flight", "tokens/s", "workers")
"""Columns that a narrow terminal can do without, the first one first."""

SHORTEST = 0.2  # seconds between two looks
WITHOUT_END = 0

Pools = list[dict[str, Any]]


def top(
    once: Annotated[bool, typer.Option("--once", help="The same as --watch 1.")] = False,
    watch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Show it N times, one below the other, and end; 0: until Ctrl-C.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: an object a line for each look.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 1.0,
    every: Annotated[bool, typer.Option("--all", help="Models that nobody serves or asks for, too.")] = False,
    url: Url = None,
) -> None:
    """Each model's workers and jobs: on a terminal until q or Ctrl-C, elsewhere as they are now.

    It is for admins. Times to the first token are of the last ten minutes, and 10,000 requests at most.
    """
    if not interval >= SHORTEST:
        raise CommandFailed(f"--interval: should be {SHORTEST} seconds or more, got {interval:g}")
    with connect(url) as admin:

        def look() -> Pools:
            found: Pools = admin.get("/v1/admin/pools")["data"]
            return found

        looks = 1 if once else watch
        if looks is None and sys.stdout.isatty() and not as_json:
            with told_to_end():
                _follow(look, interval, every)
        else:
            show = _print_json if as_json else lambda pools: tables.show(COLUMNS, _rows(pools, every), LEAST)
            _repeat(look, 1 if looks is None else looks, interval, show)


def _repeat(look: Callable[[], Pools], looks: int, interval: float, show: Callable[[Pools], None]) -> None:
    done = 0
    while True:
        show(look())
        sys.stdout.flush()
        done += 1
        if done == looks:
            return
        time.sleep(interval)


def _print_json(pools: Pools) -> None:
    print(json.dumps({"object": "top", "time": round(time.time(), 3), "data": pools}))


def _follow(look: Callable[[], Pools], interval: float, every: bool) -> None:
    """Show it in place of what is on the terminal. A server that goes away is waited for, once it was there."""
    pools, said = look(), ""
    console = Console()
    with (
        suppress(KeyboardInterrupt),  # wherever it comes: while the screen is drawn, too
        Live(console=console, screen=console.is_terminal, auto_refresh=False) as live,
        Keyboard() as keyboard,
    ):
        while True:
            live.update(_view(pools, every, said, console.width), refresh=True)
            try:
                if keyboard.pressed("qQ", within=interval):
                    return
                pools, said = look(), ""
            except NotReady as error:
                said = one_line(str(error))


def _view(pools: Pools, every: bool, said: str, width: int) -> Group:
    """The table, and below it what is `said`, or else the sums, as far as there is room for them."""
    table = tables.fitting(COLUMNS, _rows(pools, every), width, LEAST)
    line = f"{time.strftime('%H:%M:%S')}  {said}" if said else _sums(pools, width)
    return Group(table, Text(line, style="table.caption"))


def _sums(pools: Pools, width: int) -> str:
    sums = {name: sum(pool[name] for pool in pools) for name in ("tokens_per_second", "open", "waiting")}
    speed, flight = f"{sums['tokens_per_second']:.1f} tokens/s, ", f"{_in_flight(sums)} in flight, "
    end = f"{sums['waiting']} waiting; q ends"
    whole = f"{speed}{flight}{end}"
    lines = (f"{time.strftime('%H:%M:%S')}  {whole}", whole, f"{speed}{end}", end)
    return next((line for line in lines if len(line) <= width), "q ends")


def _rows(pools: Pools, every: bool) -> list[list[str]]:
    shown = [pool for pool in pools if every or any(pool["workers"].values()) or pool["open"]]
    return [_row(pool) for pool in sorted(shown, key=lambda pool: -pool["open"])]


def _row(pool: dict[str, Any]) -> list[str]:
    workers = ", ".join(f"{count} {state}" for state, count in pool["workers"].items() if count) or "none"
    first = [seconds(pool["ttft_seconds"][share]) for share in ("p50", "p99")]
    figures = [str(_in_flight(pool)), str(pool["waiting"]), f"{pool['tokens_per_second']:.1f}"]
    return [tables.cell(pool["model"]), tables.cell(workers), *figures, *first]


def _in_flight(pool: dict[str, Any]) -> int:
    return max(0, int(pool["open"]) - int(pool["waiting"]))
