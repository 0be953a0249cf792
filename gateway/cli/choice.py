"""Which model is asked: by default, and as shells complete its name."""

import difflib
import re
from collections.abc import Callable
from typing import Any, Literal

import httpx
import typer

from gateway.cli import api
from gateway.cli.failures import CommandFailed, NotReady
from shared.errors import CrofError
from shared.settings import load_settings

Kind = Literal["chat", "image"]
MAKES = {"chat": "text", "image": "images"}
WORTH = ("ready", "loading")
STATES = (*WORTH, "draining", "cold")
PATIENCE = 1.0  # seconds that a shell waits for names
FIT = re.compile(r"[\w.:/@+-]+", re.ASCII)
"""Names that a shell may be given: it may take anything else for a command. So of states only ours."""


def usual(client: httpx.Client, kind: Kind, asked: str | None = None) -> str:
    """The first that is ready, or else loading. Raises NotReady if there is none, and CommandFailed if what is
    asked is a model's name: who asks that has meant to choose it."""
    found = listed(client)
    if asked and any(asked.casefold() in map(str.casefold, _names(model)) for model in found):
        raise CommandFailed(f"'{asked}' is a model, not a question. Choose it with: --model {asked}")
    for state in WORTH:
        for model in found:
            if (model["kind"], model["state"]) == (kind, state):
                return str(model["id"])
    raise NotReady(f"no model that makes {MAKES[kind]} is up. See: crofai models")


def find(models: list[dict[str, Any]], name: str) -> str:
    """The id of the model of this name, in any case. Raises CommandFailed, with the nearest, if there is none."""
    known = {each.casefold(): str(model["id"]) for model in models for each in _names(model)}
    if found := known.get(name.casefold()):
        return found
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    hint = f"Did you mean '{known[near[0]]}'?" if near else f"There are {', '.join(sorted(set(known.values())))}."
    raise CommandFailed(f"there is no model '{name}' that chats. {hint}")


def listed(client: httpx.Client) -> list[dict[str, Any]]:
    """All models of a server. Raises CommandFailed."""
    with api.plain_errors(client.base_url):
        found = api.data(client.get("/v1/models"))
    try:
        models: list[dict[str, Any]] = found["data"]
        if not all({"id", "kind", "state", "aliases"} <= model.keys() for model in models):
            raise KeyError
    except (KeyError, TypeError, AttributeError):
        raise CommandFailed(
            f"{client.base_url}: answered something else than a list of models; is it a crofai server?"
        ) from None
    return models


def option(kind: Kind) -> Any:
    """The option that chooses a model of this kind."""
    words = "A name or alias, see: crofai models. Default: the first that is ready."
    return typer.Option("--model", "-m", help=words, autocompletion=_completing(kind))


def _completing(kind: Kind) -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """Completes names of models of this kind, with what they are; nothing if no server tells them soon."""

    def names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        try:
            base = context.params.get("url") or api.base_url(load_settings())
            with api.client(base, read_timeout=PATIENCE, timeout=PATIENCE) as client:
                found = listed(client)
        except CrofError:
            return []
        mine = [model for model in found if model["kind"] == kind]
        return [
            (name, model["state"] if model["state"] in STATES else "")
            for model in mine
            for name in map(str, _names(model))
            if FIT.fullmatch(name)
        ]

    return names


def _names(model: dict[str, Any]) -> list[str]:
    return [model["id"], *model["aliases"]]
