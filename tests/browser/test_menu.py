"""The menu of all pages, and the documentation's list of its own, on a phone: nothing of them is out of reach."""

from typing import Any

import pytest
from playwright.sync_api import expect

from gateway.site import MENU
from tests.browser.look import PHONE, THEMES, opened, picture, violations
from tests.cluster import Cluster

pytestmark = pytest.mark.browser

PAGES = [*MENU, "/docs/limits"]
SHOWN = """(link) => {
  const { left, right, top, bottom } = link.getBoundingClientRect();
  const there = [[left + 2, top + 2], [right - 2, bottom - 2], [(left + right) / 2, (top + bottom) / 2]];
  const isSeen = ([x, y]) => link.contains(document.elementFromPoint(x, y));
  return left >= 0 && right <= innerWidth && there.every(isSeen);
}"""
"""Whether a link is where a finger reaches it, all of it, without scrolling."""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("address", PAGES)
def test_all_of_the_menu_is_there(browser: Any, simulated: Cluster, address: str, theme: str) -> None:
    with opened(browser, simulated.url + address, viewport=PHONE, color_scheme=theme) as shown:
        links = shown.get_by_role("navigation", name="Pages").get_by_role("link").all()
        for width in (PHONE["width"], 320):
            shown.set_viewport_size({"width": width, "height": 844})
            assert [link.text_content() for link in links if link.evaluate(SHOWN)] == list(MENU.values())
        shown.set_viewport_size(PHONE)
        assert shown.locator(".side").bounding_box()["height"] < PHONE["height"] / 7, "in one line"
        picture(shown, f"menu-{address.strip('/').replace('/', '-') or 'first'}-{theme}-phone")


@pytest.mark.parametrize("address", PAGES)
def test_it_stays_or_comes_back_for_keys(browser: Any, simulated: Cluster, address: str) -> None:
    with opened(browser, simulated.url + address, viewport=PHONE) as shown:
        shown.evaluate("document.querySelector('main').style.paddingBottom = '2000px'")
        for name in MENU.values():
            shown.evaluate("scrollTo({ top: 900, behavior: 'instant' })")
            link = shown.get_by_role("navigation", name="Pages").get_by_role("link", name=name)
            link.focus()
            assert link.evaluate(SHOWN), name


def test_keys_reach_every_page_of_the_documentation(browser: Any, simulated: Cluster) -> None:
    with opened(browser, f"{simulated.url}/docs/limits", viewport=PHONE) as shown:
        chapters = shown.locator("#chapters a")
        shown.locator(".brand").focus()
        for _ in MENU:
            shown.keyboard.press("Tab")
        for link in chapters.all():
            shown.keyboard.press("Tab")
            expect(link).to_be_focused()
            assert link.evaluate(SHOWN), link.text_content()
        assert violations(shown) == []
