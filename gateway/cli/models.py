"""`crofai models`: what a running server serves."""

import json
from typing import Annotated, Any

import typer

from gateway.cli import api, tables
from gateway.cli.failures import CommandFailed
from shared.settings import load_settings

COLUMNS = ("name", "kind", "state", "workers", "waiting", "tokens/s")
COLOURS = {"ready": "green", "loading": "yellow", "draining": "yellow", "cold": "dim"}


def models(
    as_json: Annotated[bool, typer.Option("--json", help="The server's own answer, for programs.")] = False,
    url: api.Url = None,
) -> None:
    """List the models: those with workers first."""
    base = url or api.base_url(load_settings())
    with api.client(base) as client, api.plain_errors(base):
        response = client.get("/v1/models")
        api.check(response)
    data = _models(response.text, base)
    if as_json:
        print(json.dumps(data, indent=2))
        return
    tables.show(COLUMNS, map(_row, sorted(data["data"], key=lambda model: not model["workers"])))


def _models(text: str, base: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(text)
        for model in data["data"]:
            _row(model)
    except (ValueError, KeyError, TypeError):
        raise CommandFailed(
            f"{base}: answered something else than a list of models; is it a crofai server?"
        ) from None
    return data


def _row(model: dict[str, Any]) -> list[str]:
    state = model["state"]
    return [
        tables.cell(model["id"]),
        tables.cell(model["kind"]),
        f"[{COLOURS.get(state, 'default')}]{tables.cell(state)}[/]",
        str(model["workers"]),
        str(model["waiting"]),
        f"{model['tokens_per_second']:.1f}",
    ]
