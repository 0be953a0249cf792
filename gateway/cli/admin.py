"""The admin API as the command line uses it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import httpx
import typer

from gateway.admin_key import admin_key_file
from gateway.cli import api
from gateway.cli.failures import CommandFailed
from shared.settings import Settings, load_settings

Url = Annotated[str | None, typer.Option(envvar="CROFAI_URL", help="The server; default: this machine's.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs; times are Unix seconds.")]

PAGE = 1000  # entries


class Admin:
    """Asks a server; what it refuses becomes CommandFailed, in its own words."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, json=body)

    def patch(self, path: str, **body: Any) -> Any:
        return self._ask("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All entries of a list, however many pages it has."""
        page = self.get(path, limit=PAGE, **query)
        entries: list[dict[str, Any]] = page["data"]
        while page["has_more"]:
            page = self.get(path, limit=PAGE, after=page["last_id"], **query)
            entries += page["data"]
        return entries

    def account(self, id_or_name: str) -> dict[str, Any]:
        """The account of this id or name. Raises CommandFailed if there is none."""
        if found := self.named(id_or_name):
            return found
        if re.fullmatch("acc_[0-9a-z]{1,32}", id_or_name):
            account: dict[str, Any] = self.get(f"/v1/admin/accounts/{id_or_name}")
            return account
        raise CommandFailed(f"there is no account '{id_or_name}'. Try: crofai accounts list")

    def named(self, name: str) -> dict[str, Any] | None:
        """The account of this name."""
        accounts: list[dict[str, Any]] = self.get("/v1/admin/accounts", name=name)["data"] if name else []
        return accounts[0] if accounts else None

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        with api.plain_errors(self._client.base_url):
            response = self._client.request(method, path, **more)
            api.check(response)
        try:
            return response.json()
        except ValueError:
            raise CommandFailed(f"{response.url}: answered no JSON; is it a crofai server?") from None


@contextmanager
def connect(url: str | None) -> Iterator[Admin]:
    """The server of this URL, or this machine's; the key is CROFAI_ADMIN_KEY's, or the one made at first start."""
    settings = load_settings()
    with api.client(url or api.base_url(settings), find_key(settings)) as client:
        yield Admin(client)


def find_key(settings: Settings) -> str:
    """The admin's key. Raises CommandFailed if there is none at hand."""
    file = admin_key_file(settings.data_dir)
    try:
        return settings.admin_key.get_secret_value() or file.read_text(errors="replace").strip()
    except OSError:
        raise CommandFailed(
            f"no admin key: set CROFAI_ADMIN_KEY. The first gateway to start keeps the one it makes in {file}; "
            "start one with: crofai up"
        ) from None


def date(time: float | None) -> str:
    return "-" if time is None else datetime.fromtimestamp(time).isoformat(" ", "seconds")
