"""The page /status as it looks in its states: nothing that axe finds wrong, in both themes, and pictures of it."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.uptime import DAY, HOUR, fields
from shared import redis_keys as keys
from tests.browser.look import PHONE, THEMES, opened, picture, violations
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.browser

DESK = {"width": 1280, "height": 900}
PACES = {"llama3.1-8b": 60, "llama3.2-1b": 90, "deepseek-r1-distill-qwen-32b": 25}
EVERY = 60  # seconds between canaries, as the past has them


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Models of well-known names, with a load, and a past."""
    models = {name: simulated_model(tokens_per_second=pace, length=3000) for name, pace in PACES.items()}
    models |= {"llama3.3-70b": simulated_model(), "stable_diffusion": simulated_model("image")}
    with cluster(tmp_path_factory.mktemp("looks"), models, report_interval=0.2) as running:
        running.start_gateway()
        for name in (*PACES, "llama3.1-8b", "stable_diffusion"):
            running.start_worker(name)
            give_past(running, name)
        for name in PACES:
            with streams(running, name, "a story", 3, max_tokens=50) as short:
                pass
            assert all(stream.done for stream in short)
        # The page asks for how fast they were when it is opened, and then not for a minute.
        told = [keys.speeds(name) for name in PACES]
        wait_for(lambda: running.valkey.client.exists(*told) == len(told), 20, "the speeds to be written down")
        yield running


def give_past(running: Cluster, model: str) -> None:
    """Canaries of 80 days, of which some were not answered."""
    some = random.Random(model)
    now = time.time()
    for span, most in ((HOUR, HOUR.most), (DAY, 80)):
        for ago in range(1, most):
            failed = some.choice([0] * 12 + [1, 2, some.randrange(span.seconds // EVERY)])
            for success, count in ((True, span.seconds // EVERY - failed), (False, failed)):
                name = fields(success, now - ago * span.seconds)[0 if span is HOUR else 1]
                running.valkey.client.hset(keys.uptime(model), name, count)


@contextmanager
def busy(shop: Cluster) -> Iterator[None]:
    """For ten seconds at least."""
    with ExitStack() as stack:
        for name, pace in PACES.items():
            stack.enter_context(streams(shop, name, "a story", 5, max_tokens=10 * pace))
        yield


def known(page: Page) -> None:
    expect(page.locator("#speed-rows tr")).to_have_count(len(PACES))
    page.wait_for_timeout(7000)  # the line needs some points to be one


def hours(page: Page) -> None:
    expect(page.locator("#uptime-rows article")).to_have_count(len(PACES) + 1)
    page.get_by_role("button", name="72 hours").click()


def unknown(page: Page) -> None:
    expect(page.locator("#models-note")).to_contain_text("Nothing is known yet")


def lost(page: Page) -> None:
    expect(page.locator("#speed-rows tr")).to_have_count(len(PACES))
    page.route("**/v1/status*", lambda route: route.abort())
    expect(page.get_by_role("status")).to_contain_text("Below is what it said at")


def hang(page: Page) -> None:
    page.route("**/v1/status*", lambda route: None)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("state", [known, hours, unknown, lost], ids=lambda state: state.__name__)
def test_nothing_is_wrong_with(
    browser: Browser, shop: Cluster, state: Callable[[Page], None], size: Any, theme: Any
) -> None:
    how: dict[str, Any] = {"ready": hang} if state is unknown else {}
    with ExitStack() as stack:
        if state is known:
            stack.enter_context(busy(shop))
        shown = stack.enter_context(
            opened(browser, f"{shop.url}/status", color_scheme=theme, viewport=size, **how)
        )
        state(shown)
        assert violations(shown) == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= size["width"]
        if state is known:
            picture(shown, f"status-{theme}{'-phone' if size is PHONE else ''}")
