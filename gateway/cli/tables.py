"""Tables on standard output."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.plain import one_line


def cell(text: str) -> str:
    """A text of others, as a cell of a table."""
    return escape(one_line(text))


def show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that is as wide as it needs to be: an id that is cut short is of no use."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    width = Console(width=10_000).measure(table).maximum
    Console(width=width).print(table)
