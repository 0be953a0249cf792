"""`crofai database`: the SQL database of accounts and usage."""

import sys

import typer

from shared.settings import load_settings
from shared.sql import Database

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Even with one command, this is a group."""


@app.command()
def migrate() -> None:
    """Bring its tables up to date, as a gateway does when it starts; CROFAI_DATABASE_URL says where it is."""
    database = Database(load_settings().sql_url)
    database.migrate()
    database.close()
    print("the tables are up to date", file=sys.stderr)
