"""`python -m gateway.cli`: the `crofai` command."""

from gateway.cli.main import app

app()
