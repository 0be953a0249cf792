"""The pages' HTML, from templates: the same for all who ask, so that each is made once."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
}
"""Addresses, and the templates of what is there."""


@cache
def html(address: str) -> str:
    """The page at an address of PAGES."""
    return _templates().get_template(PAGES[address]).render(menu=MENU, current=address)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
