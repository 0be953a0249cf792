"""The pages' HTML, from templates: the same for all who ask, so that each is made once.

Only what is said of a wrong address is made each time.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway import admission, connection, engineio, idempotency, intake, manual, remedies, sockets
from gateway.api import query, usage
from gateway.auth import STALE
from gateway.bodies import completion, sampling
from gateway.manual import CHAPTERS
from gateway.speeds import WINDOW
from shared import accounts, image_args
from shared.key_format import LATEST
from shared.messages import Failure
from shared.settings import Settings
from shared.tiers import Tiers

HERE = Path(__file__).parent
WEB = HERE / "web"
"""Style sheets and scripts, which are served as they are."""

MENU = {
    "/": "Docs",
    "/playground": "Playground",
    "/status": "Status",
    "/dashboard": "Dashboard",
    "/reference": "Reference",
}
"""All pages lead to these."""

PAGES = {
    "/": "index.html",
    "/playground": "playground.html",
    "/status": "status.html",
    "/dashboard": "dashboard.html",
    "/reference": "reference.html",
    **{chapter.address: chapter.template for chapter in CHAPTERS},
}
"""Addresses, and the templates of what is there."""

ERROR = "error.html"
"""The template of what people are shown in place of an error's JSON."""

SUMMARY = "llms.txt"
"""The template of what tells language models where to read on, as llmstxt.org has it."""

LIMITS = {
    "Requests a minute": "requests_per_minute",
    "Requests a day": "requests_per_day",
    "Units a minute": "units_per_minute",
    "Units a day": "units_per_day",
    "Images a minute": "images_per_minute",
    "Images a day": "images_per_day",
    "Jobs at once": "concurrent_jobs",
}
"""A tier's limits, for people."""

CONSTANTS: dict[str, Any] = {
    "accounts": accounts,
    "admission": admission,
    "completion": completion,
    "connection": connection,
    "engineio": engineio,
    "idempotency": idempotency,
    "image_args": image_args,
    "intake": intake,
    "limits": LIMITS,
    "query": query,
    "sampling": sampling,
    "sockets": sockets,
    "usage": usage,
    "key_stale": STALE,
    "last_day": f"{datetime.fromtimestamp(LATEST, UTC):%Y-%m-%d}",
    "speed_hours": WINDOW,
}
"""What the documentation says of the code, it takes from there."""


class Site:
    """The pages of a gateway with these settings and tiers."""

    def __init__(self, settings: Settings, tiers: Tiers) -> None:
        self._facts = CONSTANTS | {"settings": settings, "tiers": tiers.all, "errors": remedies.rows(settings)}
        self._made: dict[str, str] = {}

    def html(self, address: str) -> str:
        """The page at an address of PAGES."""
        chapter = next((each for each in CHAPTERS if each.address == address), None)
        where = {"current": address, "section": "/" if chapter else address, "chapter": chapter}
        return self._text(PAGES[address], where)

    def summary(self) -> str:
        """What is at /llms.txt."""
        return self._text(SUMMARY, {})

    def error(self, failure: Failure, address: str, near: str | None) -> str:
        """What is shown at an address where nothing is, or not by this method; `near` is one that may be meant."""
        where = {"current": None, "section": None, "failure": failure, "address": address, "near": near}
        return self._render(ERROR, where)

    def _text(self, template: str, where: dict[str, Any]) -> str:
        if template not in self._made:
            self._made[template] = self._render(template, where)
        return self._made[template]

    def _render(self, template: str, where: dict[str, Any]) -> str:
        about = {"menu": MENU, "parts": manual.PARTS, "chapters": CHAPTERS}
        return _templates().get_template(template).render(**about, **where, **self._facts)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"figures": _figures, "marked": _marked}
    return made


def _figures(value: float) -> str:
    """A number for people: 1,000,000."""
    return f"{value:,.15g}"


def _marked(text: str) -> Markup:
    """A text whose code stands between backticks."""
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(part) if at % 2 else escape(part) for at, part in enumerate(text.split("`"))
    )
