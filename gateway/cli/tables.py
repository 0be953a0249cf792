"""Tables on standard output."""

import shutil
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.plain import one_line

WIDEST = 10_000  # characters


def cell(text: str) -> str:
    """A text of others, as a cell of a table."""
    return escape(one_line(text))


def show(columns: Sequence[str], rows: Iterable[Sequence[str]], least: Sequence[str] = ()) -> None:
    """Print a table that is as wide as it needs to be: an id that is cut short is of no use. Where a terminal is
    narrower, the `least` columns are left out, as far as need be."""
    table = fitting(columns, rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDEST, least)
    Console(width=_width(table)).print(table)


def fitting(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int, least: Sequence[str]) -> Table:
    """A table of at most this width, if the `least` columns' absence makes it so; the first one goes first."""
    rows, left = list(rows), list(columns)
    table = _table(columns, rows, left)
    for name in least:
        if _width(table) <= width:
            break
        left.remove(name)
        table = _table(columns, rows, left)
    return table


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str]) -> Table:
    """Only the first column may still be narrowed: a name that is cut says more than a figure that is."""
    table = Table(box=None, pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=name != columns[0], overflow="ellipsis")
    for row in rows:
        table.add_row(*(cell for name, cell in zip(columns, row, strict=True) if name in left))
    return table


def _width(table: Table) -> int:
    return Console(width=WIDEST).measure(table).maximum
