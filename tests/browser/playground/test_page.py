"""The playground itself: before anything is asked, on all screens, and by the keyboard alone."""

import ast
import json
import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from gateway.site import MENU
from tests.browser.look import MAX_BYTES, is_painted, weight
from tests.browser.playground.visit import ANSWER, answered, ask, page
from tests.cluster import Cluster

pytestmark = pytest.mark.browser


def test_it_shows_the_present_request(browser: Browser, served: Cluster) -> None:
    key = served.key()
    with page(browser, served, key=key) as shown:
        shown.locator("#model-a").select_option("slow")
        shown.locator("#prompt").fill('It\'s "so"')
        shown.get_by_text("Show code").click()
        curl = shown.locator("#code-curl code")
        expect(curl).to_contain_text("It")
        body = re.search(r"-d '(.*)'$", curl.text_content(), re.S)[1].replace("'\\''", "'")
        assert json.loads(body) == {
            "model": "slow",
            "messages": [{"role": "user", "content": 'It\'s "so"'}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        shown.get_by_role("tab", name="Python").click()
        ast.parse(shown.locator("#code-python code").text_content())
        shown.get_by_role("tab", name="Python").press("ArrowRight")
        expect(shown.locator("#code-javascript")).to_be_visible()
        shown.get_by_role("tab", name="Images").click()
        expect(shown.locator("#code-javascript code")).to_contain_text("/v1/images/generations")
        ast.parse(shown.locator("#code-python code").text_content())
        assert key not in shown.locator("#code").text_content()


def test_it_is_there_before_the_api_answers(browser: Browser, served: Cluster) -> None:
    waiting: list[Route] = []

    def hang(shown: Page) -> None:
        shown.route("**/v1/**", lambda route: waiting.append(route))

    with page(browser, served, ready=hang) as shown:
        expect(shown.get_by_role("heading", name="Playground")).to_be_visible()
        expect(shown.locator("#model-a")).to_have_text("The model list has not loaded")
        for field in ("#key", "#prompt", "#send", "#compare"):
            expect(shown.locator(field)).to_be_enabled()
        assert is_painted(shown)
        assert len(waiting) == 1
        waiting[0].abort()
        expect(shown.locator("#pool-a")).to_have_text("The API does not answer now.")


def test_it_is_light(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        expect(shown.locator("#model-a")).to_be_enabled()
        assert 0 < weight(shown) <= MAX_BYTES


def test_a_model_can_be_named_in_the_address(browser: Browser, served: Cluster) -> None:
    with page(browser, served, at="?model=slow") as shown:
        expect(shown.locator("#model-a")).to_have_value("slow")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_all_screens(browser: Browser, served: Cluster, scheme: str, width: int) -> None:
    size = {"width": width, "height": 844}
    long = "x" * 200
    said = f"{long}\n\n```\n{long}\n```\n\n| {long} | b |\n|---|---|\n| {long} | {long} |\n\n[{long}](https://{long}.org)"
    with page(browser, served, color_scheme=scheme, viewport=size) as shown:
        shown.get_by_role("button", name="Compare two models").click()
        shown.locator("#model-b").select_option("fast")
        for opened in ("#options summary", "#code summary"):
            shown.locator(opened).click()
        ask(shown, f"echo {said}")
        answered(shown)
        answered(shown, status="#status-b")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        boxes = [shown.locator(f"#column-{column}").bounding_box() for column in "ab"]
        assert (boxes[0]["y"] == boxes[1]["y"]) is (width > 960)
        shown.get_by_role("tab", name="Images").click()
        shown.locator("#image-options summary").click()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_is_enough(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        shown.get_by_role("tab", name="Chat").focus()
        shown.keyboard.press("ArrowRight")
        expect(shown.get_by_role("tab", name="Images")).to_be_focused()
        expect(shown.locator("#images")).to_be_visible()
        shown.keyboard.press("ArrowLeft")
        shown.locator("#prompt").focus()
        shown.keyboard.type("echo a")
        shown.keyboard.press("Shift+Enter")
        shown.keyboard.type("b")
        shown.keyboard.press("Enter")
        answered(shown)
        expect(shown.locator(f"{ANSWER} br")).to_have_count(1)
        expect(shown.locator("#prompt")).to_be_focused()


def test_it_leads_to_the_other_pages(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        links = shown.get_by_role("navigation").get_by_role("link")
        assert links.all_text_contents() == list(MENU.values())
        assert links.nth(1).get_attribute("aria-current") == "page"
