"""The documentation in a browser: how it looks, the visitor's key in it, its tabs, and the list of models."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.look import PHONE, THEMES, is_painted, opened, picture, violations
from tests.cluster import Cluster
from tests.page import DOCS, examples

pytestmark = pytest.mark.browser

DESK = {"width": 1280, "height": 900}
SIZES = {"": DESK, "-phone": PHONE}
KEY = "sk-crof-of-a-visitor"
CODES = "figure[data-lang] code"
KEPT = "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"

every_page = pytest.mark.parametrize("address", DOCS)


def model(name: str, kind: str = "chat", state: str = "ready", **said: Any) -> dict[str, Any]:
    told = {"aliases": [name], "description": "A test.", "context": 4096, "running": 0, "waiting": 0}
    return {"id": name, "kind": kind, "state": state, "tokens_per_second": 0} | told | said


class Models:
    """What GET /v1/models answers; nothing, while it is away."""

    def __init__(self, *models: dict[str, Any]) -> None:
        self.models = list(models)
        self.away = False

    def serve(self, page: Any) -> None:
        page.route("**/v1/models", self._answer)

    def _answer(self, route: Any) -> None:
        if self.away:
            route.abort()
        else:
            route.fulfill(body=json.dumps({"data": self.models}), content_type="application/json")


# ---- how it looks


@every_page
@pytest.mark.parametrize("theme", THEMES)
def test_it_is_fit_for_every_screen_and_reader(browser: Any, simulated: Cluster, address: str, theme: str) -> None:
    with opened(browser, simulated.url + address, color_scheme=theme, viewport=DESK) as shown:
        for suffix, size in SIZES.items():
            shown.set_viewport_size(size)
            shown.reload()
            if address == "/":
                expect(shown.locator("#model-rows tr").first).to_be_visible()
            assert shown.evaluate("document.documentElement.scrollWidth") <= size["width"]
            assert violations(shown) == []
            name = address.removeprefix("/docs/").strip("/") or "first"
            picture(shown, f"docs-{name}-{theme}{suffix}")
        assert shown.locator(".side").bounding_box()["height"] < PHONE["height"] / 7
        here = shown.locator("#chapters [aria-current=page]").bounding_box()
        assert 0 <= here["x"] <= PHONE["width"] - 40


def test_the_list_of_pages_shows_where_one_is_on_a_low_screen(browser: Any, simulated: Cluster) -> None:
    with opened(browser, f"{simulated.url}/docs/limits", viewport={"width": 1280, "height": 500}) as shown:
        expect(shown.locator("#chapters [aria-current=page]")).to_be_in_viewport()
        assert shown.evaluate("scrollY") == 0


def test_the_page_that_is_next_is_a_link_away(browser: Any, simulated: Cluster) -> None:
    with opened(browser, simulated.url) as shown:
        for address in list(DOCS)[1:]:
            shown.locator("#chapters").get_by_role("link", name=_title(address), exact=True).click()
            expect(shown).to_have_url(simulated.url + address)
            expect(shown.get_by_role("heading", level=1)).to_have_text(_title(address))


def _title(address: str) -> str:
    return next(DOCS[address].root.all("h1")).text


# ---- before, and without, the API and the script


@every_page
def test_it_is_there_before_the_api_answers(browser: Any, simulated: Cluster, address: str) -> None:
    waiting: list[Any] = []
    with opened(
        browser,
        simulated.url + address,
        ready=lambda page: page.route("**/v1/**", lambda route: waiting.append(route)),
    ) as shown:
        expect(shown.get_by_role("heading", level=1)).to_be_visible()
        assert is_painted(shown)
        if shown.locator(CODES).count():
            expect(shown.locator(CODES).first).to_contain_text(simulated.url)
        if address == "/":
            expect(shown.locator("#models-note")).to_contain_text("The list is not loaded here yet.")
        for request in waiting:
            request.abort()


def test_it_can_be_read_without_its_script(browser: Any, simulated: Cluster) -> None:
    with opened(browser, f"{simulated.url}/", java_script_enabled=False) as shown:
        assert shown.locator("#first figure").count() == 4
        for figure in shown.locator("#first figure").all():
            expect(figure).to_be_visible()


# ---- the key


def test_the_key_is_in_every_page_of_the_tab(browser: Any, simulated: Cluster) -> None:
    with opened(browser, simulated.url) as shown:
        shown.get_by_label("API key").fill(KEY)
        expect(shown.locator("#filled")).to_have_text("Signed in: the examples have your key.")
        for address in DOCS:
            shown.goto(simulated.url + address)
            codes = shown.locator(CODES).all_text_contents()
            printed = [text for (page, _, _), text in examples().items() if page == address]
            assert len(codes) == len(printed)
            assert [KEY in code for code in codes] == ["YOUR_KEY" in text for text in printed]
            assert not [code for code in codes if "YOUR_KEY" in code or "BASE_URL" in code]


def test_the_key_is_kept_in_the_tab_alone(browser: Any, simulated: Cluster) -> None:
    with opened(browser, simulated.url) as shown:
        shown.get_by_label("API key").fill(KEY)
        session, local, cookies = json.loads(shown.evaluate(KEPT))
        assert session == {"crofai.key": KEY}
        assert (local, cookies) == ({}, "")
        assert shown.context.cookies() == []
        other = shown.context.new_page()
        other.goto(simulated.url)
        expect(other.get_by_label("API key")).to_have_value("")


def test_signing_out_takes_the_key_away(browser: Any, simulated: Cluster) -> None:
    with opened(browser, simulated.url) as shown:
        shown.get_by_label("API key").fill(KEY)
        expect(shown.locator("#first code").first).to_contain_text(KEY)
        shown.get_by_role("button", name="Sign out").click()
        expect(shown.locator("#first code").first).to_contain_text("YOUR_KEY")
        expect(shown.get_by_label("API key")).to_be_focused()
        expect(shown.get_by_role("button", name="Sign out")).to_be_hidden()
        assert KEY not in shown.evaluate(KEPT)


def test_a_page_that_is_come_back_to_has_the_key(browser: Any, simulated: Cluster) -> None:
    with opened(browser, f"{simulated.url}/docs/chat") as shown:
        expect(shown.locator("#filled")).to_contain_text("Put your key in on the first page")
        shown.locator("#filled").get_by_role("link").click()
        shown.get_by_label("API key").fill(KEY)
        shown.go_back()
        expect(shown.locator("#filled")).to_have_text("The examples have your key.")
        expect(shown.locator(CODES).first).to_contain_text(KEY)


def test_a_page_that_was_kept_whole_forgets_the_key_of_who_signed_out_elsewhere(
    browser: Any, simulated: Cluster
) -> None:
    with opened(browser, simulated.url) as shown:
        shown.get_by_label("API key").fill(KEY)
        expect(shown.locator("#first code").first).to_contain_text(KEY)
        shown.evaluate("sessionStorage.clear()")
        shown.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(shown.get_by_label("API key")).to_have_value("")
        expect(shown.locator("#first code").first).to_contain_text("YOUR_KEY")


# ---- the examples


def test_keys_go_from_tab_to_tab(browser: Any, simulated: Cluster) -> None:
    with opened(browser, simulated.url) as shown:
        tabs = shown.locator("#first").get_by_role("tab")
        assert tabs.all_text_contents() == ["curl", "Python", "JavaScript", "TypeScript"]
        tabs.first.focus()
        for key, at in {"ArrowRight": 1, "End": 3, "Home": 0, "ArrowLeft": 3}.items():
            shown.keyboard.press(key)
            expect(tabs.nth(at)).to_be_focused()
            expect(tabs.nth(at)).to_have_attribute("aria-selected", "true")
            expect(shown.locator("#first").get_by_role("tabpanel")).to_have_count(1)
            panel = tabs.nth(at).get_attribute("aria-controls")
            expect(shown.locator(f"#{panel} code")).to_be_visible()


def test_a_language_is_chosen_for_all_examples(browser: Any, simulated: Cluster) -> None:
    with opened(browser, f"{simulated.url}/docs/simple", viewport=DESK) as shown:
        tab = shown.locator("#images").get_by_role("tab", name="TypeScript")
        tab.scroll_into_view_if_needed()
        before = tab.bounding_box()["y"]
        tab.click()
        assert abs(tab.bounding_box()["y"] - before) < 2, "the page jumps"
        for section in ("chat", "images"):
            chosen = shown.locator(f"#{section}").get_by_role("tab", selected=True)
            expect(chosen).to_have_text("TypeScript")
        shown.goto(f"{simulated.url}/docs/jobs")
        expect(shown.locator("#cancel").get_by_role("tab", selected=True)).to_have_text("TypeScript")
        expect(shown.locator("#resume").get_by_role("tab", selected=True)).to_have_text("curl")


def test_an_example_is_copied(browser: Any, simulated: Cluster) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with opened(browser, simulated.url, permissions=allowed) as shown:
        expect(shown.locator("#model-rows tr").first).to_be_visible()
        panel = shown.locator("#first").get_by_role("tabpanel")
        panel.get_by_role("button", name="Copy").click()
        expect(panel.get_by_role("button", name="Copied")).to_be_visible()
        expect(shown.locator("#announce")).to_have_text("Copied")
        assert shown.evaluate("navigator.clipboard.readText()") == panel.locator("pre").text_content()


def test_examples_name_models_that_are_ready(browser: Any, simulated: Cluster) -> None:
    told = Models(
        model("llama3.1-8b", state="cold"),
        model("waits", state="loading"),
        model("answers"),
        model("draws", "image"),
    )
    for address, name in {"/": "answers", "/docs/chat": "answers", "/docs/images": "draws"}.items():
        with opened(browser, simulated.url + address, ready=told.serve) as shown:
            expect(shown.locator(CODES).first).to_contain_text(f'"{name}"')


# ---- the models


def test_the_list_of_models_is_live(browser: Any, simulated: Cluster) -> None:
    told = Models(
        model("one", state="cold", tokens_per_second=None),
        model("two", tokens_per_second=1640.4, running=3, waiting=2),
    )
    with opened(browser, simulated.url, ready=told.serve) as shown:
        rows = shown.locator("#model-rows tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_have_attribute("data-id", "two")
        assert rows.first.locator("td").nth(4).text_content() == "1,640"
        assert rows.first.locator("td").nth(3).text_content() == "ready3 running, 2 waiting"
        assert rows.last.locator("td").nth(4).text_content() == "–", "it was not measured"
        expect(shown.locator("#live")).to_have_text("1 of 2 models ready, 1,640 tokens/s now")
        rows.last.evaluate("(row) => { row.seen = true; }")
        told.models[0] |= {"state": "ready", "tokens_per_second": 0}
        expect(shown.locator("tr[data-id=one] .state")).to_have_text("ready")
        expect(shown.locator("tr[data-id=one] td").nth(4)).to_have_text("0")
        assert shown.locator("tr[data-id=one]").evaluate("(row) => row.seen"), "it is the same row"
        expect(shown.locator("#live")).to_contain_text("2 of 2 models ready")
        told.away = True
        expect(shown.locator("#models-note")).to_contain_text("This is what it said at")
        expect(shown.locator("#live")).to_be_hidden()
        expect(rows).to_have_count(2)


def test_names_of_models_are_text(browser: Any, simulated: Cluster) -> None:
    name = "<img src=x onerror=alert(1)>"
    with opened(browser, simulated.url, ready=Models(model(name, description=name)).serve) as shown:
        expect(shown.locator("#model-rows code")).to_have_text(name)
        expect(shown.locator("#first code").first).to_contain_text(name)
        assert shown.locator("main img").count() == 0
