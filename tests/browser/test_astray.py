"""What a browser shows at an address where nothing is."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.look import PHONE, THEMES, opened, picture, violations
from tests.cluster import Cluster

pytestmark = pytest.mark.browser

LONG = "x" * 200


@pytest.mark.parametrize("theme", THEMES)
def test_it_is_fit_for_every_screen_and_reader(browser: Any, simulated: Cluster, theme: str) -> None:
    for name in ("playgrounds", LONG):
        url = f"{simulated.url}/{name}"
        with opened(browser, url, color_scheme=theme, viewport=PHONE) as shown:
            expect(shown.get_by_role("heading", level=1)).to_have_text("There is nothing here")
            assert shown.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert violations(shown) == []
            picture(shown, f"astray-{name[:4]}-{theme}-phone")
            shown.set_viewport_size({"width": 1280, "height": 800})
            assert violations(shown) == []
            picture(shown, f"astray-{name[:4]}-{theme}")


def test_it_leads_to_where_one_may_have_meant_to_go(browser: Any, simulated: Cluster) -> None:
    with opened(browser, f"{simulated.url}/playgrounds") as shown:
        shown.get_by_role("main").get_by_role("link", name="/playground").click()
        expect(shown).to_have_url(f"{simulated.url}/playground")
        shown.go_back()
        shown.get_by_role("link", name="documentation").click()
        expect(shown).to_have_url(f"{simulated.url}/")
