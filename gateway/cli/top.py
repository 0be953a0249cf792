"""`crofai top`: each model's workers and jobs, as they are now."""

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from gateway.cli import tables
from gateway.cli.admin import AsJson, connect
from gateway.cli.api import Url
from gateway.cli.failures import CommandFailed, NotReady

COLUMNS = ("model", "workers", "in flight", "waiting", "tokens/s", "TTFT p50", "p99")
SHORTEST = 0.2  # seconds between two looks


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    as_json: AsJson = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 1.0,
    every: Annotated[bool, typer.Option("--all", help="Models that nobody serves or asks for, too.")] = False,
    url: Url = None,
) -> None:
    """Each model's workers and jobs, until Ctrl-C. Times to the first token are of the last ten minutes, and of
    the last 10,000 requests of all models, at most."""
    if as_json and not once:
        raise CommandFailed("--json needs --once: it is for one look")
    if not interval >= SHORTEST:
        raise CommandFailed(f"--interval: should be {SHORTEST} seconds or more, got {interval:g}")
    with connect(url) as admin:

        def look() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = admin.get("/v1/admin/pools")["data"]
            return found

        if as_json:
            print(json.dumps(look(), indent=2))
        elif once:
            tables.show(COLUMNS, _rows(look(), every))
        else:
            _follow(look, interval, every)


def _follow(look: Callable[[], list[dict[str, Any]]], interval: float, every: bool) -> None:
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        rows: list[list[str]] = []
        try:
            while True:
                try:
                    rows, said = _rows(look(), every), "Ctrl-C ends"
                except NotReady as error:
                    said = str(error)
                table = Table(*COLUMNS, box=None, pad_edge=False, caption=f"{time.strftime('%H:%M:%S')}  {said}")
                for row in rows:
                    table.add_row(*row)
                live.update(table, refresh=True)
                time.sleep(interval)
        except KeyboardInterrupt:
            return


def _rows(pools: list[dict[str, Any]], every: bool) -> list[list[str]]:
    shown = [pool for pool in pools if every or any(pool["workers"].values()) or pool["open"]]
    return [_row(pool) for pool in sorted(shown, key=lambda pool: -pool["open"])]


def _row(pool: dict[str, Any]) -> list[str]:
    workers = ", ".join(f"{count} {state}" for state, count in pool["workers"].items() if count) or "none"
    first = [_seconds(pool["ttft_seconds"][share]) for share in ("p50", "p99")]
    in_flight, waiting = max(0, pool["open"] - pool["waiting"]), pool["waiting"]
    return [pool["model"], workers, str(in_flight), str(waiting), f"{pool['tokens_per_second']:.1f}", *first]


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"
