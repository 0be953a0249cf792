"""The admin API as the command line uses it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import httpx
import typer

from gateway.cli import api
from gateway.cli.failures import CommandFailed
from gateway.secret_file import admin_key_file
from shared.errors import AdminRequired, InvalidKey, LastAdminKey
from shared.settings import Settings, load_settings

AsJson = Annotated[bool, typer.Option("--json", help="For programs; times are Unix seconds.")]

PAGE = 1000  # entries
USUAL_TIER = "free"
FORCED = {"force": "true"}
WAY_OUT = "Set CROFAI_ADMIN_KEY to a valid one; if there is none, restart the gateway, which makes one."


class Admin:
    """Asks a server; what it refuses becomes CommandFailed, in its own words."""

    def __init__(self, client: httpx.Client, source: str = "") -> None:
        """`source` is where the key comes from."""
        self._client = client
        self._source = source

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, json=body)

    def patch(self, path: str, *, force: bool = False, **body: Any) -> Any:
        return self._ask("PATCH", path, json=body, params=FORCED if force else {})

    def delete(self, path: str, *, force: bool = False) -> Any:
        return self._ask("DELETE", path, params=FORCED if force else {})

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All entries of a list, however many pages it has."""
        return [entry for page in self.pages(path, **query) for entry in page]

    def pages(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """The entries of a list, page by page."""
        after: dict[str, Any] = {}
        more = True
        while more:
            page = self.get(path, limit=PAGE, **query, **after)
            yield page["data"]
            more, after = page["has_more"], {"after": page["last_id"]}

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

    def tiers(self) -> list[str]:
        """Ids of the tiers that there are, in the order of the file."""
        return [tier["id"] for tier in self.get("/v1/admin/tiers")["data"]]

    def usual_tier(self) -> str:
        """The tier of a new account of which nothing is said. Raises CommandFailed if there is no such tier."""
        if USUAL_TIER not in (tiers := self.tiers()):
            raise CommandFailed(f"there is no tier '{USUAL_TIER}' here: add --tier and one of {', '.join(tiers)}")
        return USUAL_TIER

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        with api.plain_errors(self._client.base_url):
            response = self._client.request(method, path, **more)
            self._check(response)
        return api.data(response)

    def _check(self, response: httpx.Response) -> None:
        try:
            api.check(response)
        except CommandFailed as error:
            if error.code == LastAdminKey.code:
                raise CommandFailed(
                    "no other admin's key is valid, and stays so. Make one first, with: "
                    "crofai keys create NAME --admin. Or add --force",
                    error.code,
                ) from None
            if error.code == InvalidKey.code and self._source:
                raise CommandFailed(f"{error} It is the one in {self._source}. {WAY_OUT}", error.code) from None
            if error.code == AdminRequired.code and self._source:
                raise CommandFailed(f"{error} The one in {self._source} is none. {WAY_OUT}", error.code) from None
            raise


@contextmanager
def connect(url: str | None) -> Iterator[Admin]:
    """The server of this URL, or this machine's; the key is CROFAI_ADMIN_KEY's, or the one made at first start."""
    settings = load_settings()
    key, source = find_key(settings)
    with api.client(url or api.base_url(settings), key) as client:
        yield Admin(client, source)


def find_key(settings: Settings) -> tuple[str, str]:
    """The admin's key, and where it was. Raises CommandFailed if there is none at hand."""
    if secret := settings.admin_key.get_secret_value():
        return secret, "CROFAI_ADMIN_KEY"
    file = admin_key_file(settings.data_dir)
    try:
        return file.read_text(errors="replace").strip(), str(file)
    except OSError:
        raise CommandFailed(
            f"no admin key: set CROFAI_ADMIN_KEY. The first gateway to start keeps the one it makes in {file}; "
            "start one with: crofai up"
        ) from None


def date(time: float | None) -> str:
    return "-" if time is None else datetime.fromtimestamp(time).isoformat(" ", "seconds")
