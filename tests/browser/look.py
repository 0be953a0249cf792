"""Opening pages as a visitor does, and looking at them: what goes wrong in them, axe's findings, pictures."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = Path(os.environ.get("SCREENSHOTS", HERE.parents[1] / "data" / "screenshots"))
PHONE = {"width": 390, "height": 844}
THEMES = ("light", "dark")
MAX_BYTES = 150_000
"""Of a page's scripts and style sheets, as they are before any compression."""


@contextmanager
def opened(
    browser: Browser, url: str, *, ready: Callable[[Page], object] = lambda page: None, **context: Any
) -> Iterator[Page]:
    """A page in a context of its own; fails if anything goes wrong in it, or breaks its policy. `ready(page)` is
    called before it is there."""
    own = browser.new_context(**context)
    page = own.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    ready(page)
    try:
        page.goto(url)
        yield page
    finally:
        own.close()
    # A refusal that the page itself deals with is told by the browser, too.
    assert [each for each in wrong if "Failed to load resource" not in each] == []


def violations(page: Page) -> list[str]:
    """What axe finds, each with the first place; the page's policy forbids scripts of others, but not a test's."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [f"{each['id']}: {each['help']} ({each['nodes'][0]['html'][:160]})" for each in found]


def is_painted(page: Page) -> bool:
    """Whether there is anything to see, or comes to be."""
    return bool(
        page.evaluate("""new Promise((resolve) => {
          new PerformanceObserver(() => resolve(true)).observe({ type: "paint", buffered: true });
        })""")
    )


def weight(page: Page) -> int:
    """Bytes of the scripts and style sheets that it has loaded."""
    return int(
        page.evaluate("""performance.getEntriesByType("resource")
          .filter(({ name }) => /[.](js|css)$/.test(name))
          .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)""")
    )


def picture(page: Page, name: str) -> None:
    """Of the whole page, as data/screenshots/NAME.png."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
