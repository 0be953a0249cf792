"""The page /status in a browser: what it shows, when it asks, and when it does not."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from gateway.site import MENU
from tests.browser.hostile import ATTACKS, executed, watch
from tests.browser.look import MAX_BYTES, is_painted, opened, weight
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.browser

NOON = 1_795_608_000  # 2026-11-25, 12:00 UTC
SPEED = {"streams": 42, "average": 549.6, "low": 300.2, "high": 700.0}
SHOW = """(state) => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
MOTIONS = "document.getElementById('moving').getAnimations().length"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    models = {"well": simulated_model(tokens_per_second=50, length=700), "cold": simulated_model()}
    with cluster(tmp_path_factory.mktemp("status"), models, canary_interval=0.5, report_interval=0.2) as running:
        running.start_gateway()
        running.start_worker("well")
        yield running


def model(name: str, state: str = "ready", **changes: Any) -> dict[str, Any]:
    """One of the API's answer, with what was measured of it."""
    return {
        "id": name,
        "kind": "chat",
        "state": state,
        "workers": 2,
        "running": 7,
        "waiting": 1234,
        "tokens_per_second": 1640.4,
        "speed": SPEED | {"window_seconds": 86_400},
        "ever": SPEED | {"streams": 1203, "high": 901.0, "since": NOON - 86_400},
        "uptime": {
            "days": [
                {"day": "2026-11-24", "succeeded": 1439, "failed": 1},
                {"day": "2026-11-25", "succeeded": 720, "failed": 0},
            ],
            "hours": [{"hour": "2026-11-25T12:00:00Z", "succeeded": 1, "failed": 3}],
        },
    } | changes


COLD = model(
    "cold-one",
    "cold",
    workers=0,
    running=0,
    waiting=0,
    tokens_per_second=None,
    speed={"streams": 0, "average": None, "low": None, "high": None, "window_seconds": 86_400},
    ever={"streams": 0, "average": None, "low": None, "high": None, "since": None},
    uptime={"days": [], "hours": []},
)


@dataclass
class Api:
    """Answers for the API; none comes while it is `away`."""

    models: list[dict[str, Any]] = field(default_factory=lambda: [COLD, model("one")])
    status: int = 200
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, route: Any) -> None:
        self.asked.append(route.request.url.rpartition("?")[2])
        if self.away:
            route.abort()
            return
        models = [dict(each) for each in self.models]
        if self.asked[-1] == "uptime=false":
            for each in models:
                del each["uptime"]
        cluster = {"tokens_per_second": 1640.4, "running": 7, "waiting": 1234, "workers": 2}
        told = {"object": "status", "now": NOON, "cluster": cluster, "models": models}
        route.fulfill(status=self.status, json=told if self.status == 200 else {})


@contextmanager
def page(browser: Browser, served: Cluster, api: Api | None, **context: Any) -> Iterator[Any]:
    """The page, in a context of its own; its API is `api`, or the real one."""
    ready = (lambda page: page.route("**/v1/status*", api.answer)) if api else (lambda page: None)
    with opened(browser, f"{served.url}/status", ready=ready, **context) as page:
        yield page


def told_of(served: Cluster, name: str) -> bool:
    """Whether the API has a model's histories, which may be ten seconds old."""
    models = requests.get(f"{served.url}/v1/status?uptime=true", timeout=20).json()["models"]
    [model] = [each for each in models if each["id"] == name]
    return bool(model["ever"]["streams"] and model["uptime"]["hours"])


def cells(page: Any, rows: str, name: str) -> list[str]:
    """The texts of a model's row."""
    found: list[str] = page.locator(f"#{rows} tr[data-id='{name}'] td").all_text_contents()
    return found


def test_it_shows_a_real_cluster(browser: Browser, served: Cluster) -> None:
    with streams(served, "well", "hello", 1) as opened, page(browser, served, None) as shown:
        row = shown.locator("#model-rows tr[data-id='well']")
        expect(row.locator(".state")).to_have_text("ready")
        expect(shown.locator("#speed")).to_have_text(re.compile(r"[1-9][0-9.]*"))
        expect(shown.locator("#model-rows tr").first).to_have_attribute("data-id", "well")
        expect(shown.locator("#model-rows tr[data-id='cold'] .state")).to_have_text("cold")
    assert opened[0].done
    wait_for(lambda: told_of(served, "well"), 30, "the histories of canaries and streams")
    with page(browser, served, None) as shown:
        expect(shown.locator("#speed-rows tr[data-id='well'] .sizes")).to_contain_text("1 stream in 24 h")
        expect(shown.locator("#uptime-rows [data-id='well'] .share")).to_contain_text("100 % of ")
        assert shown.locator("#uptime-rows article").count() == 1


def test_numbers_and_what_was_not_measured(browser: Browser, served: Cluster) -> None:
    with page(browser, served, Api()) as shown:
        expect(shown.locator("#speed")).to_have_text("1,640")
        expect(shown.locator("#ready")).to_have_text("1 of 2")
        expect(shown.locator("#waiting")).to_have_text("1,234")
        assert cells(shown, "model-rows", "one")[1:] == ["ready", "2", "7", "1,234", "1,640"]
        assert cells(shown, "model-rows", "cold-one")[1:] == ["cold", "0", "0", "0", "–"]
        average, low, high, sizes = cells(shown, "speed-rows", "one")[1:]
        assert (average, low, high) == ("550", "300", "901")
        assert sizes == "42 streams in 24 h1,203 streams since 24 Nov 2026"
        assert shown.locator("#speed-rows tr").count() == 1
        expect(shown.locator("#speeds-note")).to_contain_text("Nothing was measured yet of 1 other model.")


def test_each_bar_has_its_text(browser: Browser, served: Cluster) -> None:
    with page(browser, served, Api()) as shown:
        row = shown.locator("#uptime-rows article")
        expect(row).to_have_count(1)
        expect(row.locator(".share")).to_have_text("99.95 % of 2,160 canaries answered")
        bars = row.locator("li")
        expect(bars).to_have_count(90)
        texts = bars.all_text_contents()
        assert texts[-2:] == ["24 Nov 2026: 1,439 of 1,440 answered", "25 Nov 2026: 720 of 720 answered"]
        assert texts[0] == "28 Aug 2026: no canaries"
        assert [bars.nth(at).get_attribute("data-level") for at in (-3, -2, -1)] == ["none", "most", "all"]
        heights = [bars.nth(at).locator("i").bounding_box()["height"] for at in (-3, -1)]
        assert heights[0] < 3 < heights[1]
        shown.get_by_role("button", name="72 hours").click()
        expect(bars).to_have_count(72)
        expect(row.locator(".share")).to_have_text("25 % of 4 canaries answered")
        assert bars.last.get_attribute("data-level") == "few"
        expect(shown.get_by_role("button", name="72 hours")).to_have_attribute("aria-pressed", "true")


def test_it_asks_every_other_second_while_somebody_looks(browser: Browser, served: Cluster) -> None:
    api = Api()

    def ready(page: Page) -> None:
        page.clock.install(time=NOON)
        page.clock.pause_at(NOON + 1)  # from here on, time passes where it is told to
        page.route("**/v1/status*", api.answer)

    with opened(browser, f"{served.url}/status", ready=ready) as shown:
        said = shown.locator("#as-of")
        expect(said).to_have_text(re.compile("As of"))
        names = shown.locator("#model-rows tr[data-id=one] code, #speed-rows tr[data-id=one] code")
        names.evaluate_all("(names) => { for (const name of names) name.seen = true; }")
        for count in (2, 3):
            before = said.text_content()
            shown.clock.run_for(1900)
            assert len(api.asked) == count - 1
            shown.clock.run_for(100)
            expect(said).not_to_have_text(before)
            assert len(api.asked) == count
        assert api.asked == ["uptime=true", "uptime=false", "uptime=false"], "the history comes once a minute"
        seen = names.evaluate_all("(names) => names.map(({ seen }) => seen)")
        assert seen == [True, True], "what is selected stays"
        shown.evaluate(SHOW, "hidden")
        before = said.text_content()
        shown.clock.run_for(10_000)
        assert len(api.asked) == 3
        shown.evaluate(SHOW, "visible")
        expect(said).not_to_have_text(before)
        assert len(api.asked) == 4
        expect(shown.locator("#uptime-rows article")).to_have_count(1)


def test_it_says_when_the_api_cannot_be_reached(browser: Browser, served: Cluster) -> None:
    api = Api()
    with page(browser, served, api) as shown:
        expect(shown.locator("#speed")).to_have_text("1,640")
        api.away = True
        news = shown.get_by_role("status")
        expect(news).to_contain_text("The gateway cannot be reached. Below is what it said at ")
        expect(shown.locator("#speed")).to_have_text("–")
        expect(shown.locator("#main")).to_have_class(re.compile("stale"))
        api.away, api.status = False, 503
        expect(news).to_contain_text("The gateway answered with status 503 and no reason.")
        api.status = 200
        expect(news).to_be_empty()
        expect(shown.locator("#speed")).to_have_text("1,640")
        expect(shown.locator("#main")).not_to_have_class(re.compile("stale"))


def test_it_is_there_before_the_api_answers(browser: Browser, served: Cluster) -> None:
    waiting: list[Any] = []
    with opened(
        browser,
        f"{served.url}/status",
        ready=lambda page: page.route("**/v1/**", lambda route: waiting.append(route)),
    ) as shown:
        expect(shown.get_by_role("heading", name="Status")).to_be_visible()
        expect(shown.locator("#models-note")).to_have_text("Nothing is known yet: the API has not answered.")
        expect(shown.locator("#speed")).to_have_text("–")
        assert is_painted(shown)
        assert len(waiting) == 1
        waiting[0].abort()
        expect(shown.get_by_role("status")).to_have_text("The gateway cannot be reached. The page goes on trying.")


def test_it_is_light(browser: Browser, served: Cluster) -> None:
    with page(browser, served, Api()) as shown:
        expect(shown.locator("#speed")).to_have_text("1,640")
        assert 0 < weight(shown) <= MAX_BYTES


@pytest.mark.parametrize(("motion", "count"), [("no-preference", 1), ("reduce", 0)])
def test_the_line_moves_for_those_who_want_it_to(
    browser: Browser, served: Cluster, motion: str, count: int
) -> None:
    with page(browser, served, Api(), reduced_motion=motion) as shown:
        expect(shown.locator("#speed")).to_have_text("1,640")
        expect(shown.locator("#trace")).to_have_attribute("d", re.compile("L"))
        assert shown.evaluate(MOTIONS) == count


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_all_screens(browser: Browser, served: Cluster, scheme: str, width: int) -> None:
    api = Api([model("one"), model("a-model-with-a-name-that-is-long-and-then-some-70b-instruct"), COLD])
    size = {"width": width, "height": 844}
    with page(browser, served, api, color_scheme=scheme, viewport=size) as shown:
        expect(shown.locator("#speed-rows tr")).to_have_count(2)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        shades = [int(part) for part in re.findall(r"\d+", ground)[:3]]
        assert (min(shades) > 200) if scheme == "light" else (max(shades) < 60)


def test_names_are_text(browser: Browser, served: Cluster) -> None:
    api = Api([model(name, kind=name) for name in ATTACKS])

    def ready(page: Page) -> None:
        watch(page)
        page.route("**/v1/status*", api.answer)

    with opened(browser, f"{served.url}/status", ready=ready) as shown:
        for rows in ("model-rows tr", "speed-rows tr", "uptime-rows article"):
            expect(shown.locator(f"#{rows}")).to_have_count(len(ATTACKS))
        assert set(shown.locator("#model-rows code").all_text_contents()) == set(ATTACKS)
        assert executed(shown) == []


def test_it_leads_to_the_other_pages(browser: Browser, served: Cluster) -> None:
    with page(browser, served, Api()) as shown:
        links = shown.get_by_role("navigation").get_by_role("link")
        assert links.all_text_contents() == list(MENU.values())
        assert links.nth(2).get_attribute("aria-current") == "page"
