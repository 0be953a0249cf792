"""The playground as it looks in its states: nothing that axe finds wrong, in both themes, and pictures of it."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.look import PHONE, THEMES, picture, violations
from tests.browser.playground.visit import CHATS, ENOUGH, answered, page
from tests.cluster import Cluster, cluster
from tests.conftest import simulated_model

pytestmark = pytest.mark.browser

DESK = {"width": 1280, "height": 900}
QUESTION = "How do I reverse a list in Python?"
REPLY = """There are **two ways**, and they differ in what they leave behind:

1. `reversed(items)` gives an iterator, and leaves the list as it is.
2. `items.reverse()` turns the list itself around, and gives `None`.

```python
items = [1, 2, 3]
print(list(reversed(items)))  # [3, 2, 1]
items.reverse()
```

### How much they cost

| way | memory | time |
|---|--:|--:|
| `reversed(items)` | none | O(n) |
| `items[::-1]` | a copy | O(n) |

> Slices copy. Of a long list that is a lot.

The [documentation](https://docs.python.org/3/library/functions.html#reversed) has more.
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Models of well-known names."""
    models = {
        "llama3.1-8b": simulated_model(tokens_per_second=120),
        "deepseek-r1-distill-qwen-32b": simulated_model(tokens_per_second=45),
        "llama3.3-70b": simulated_model(),
        "stable_diffusion": simulated_model("image", tokens_per_second=20),
    }
    with cluster(tmp_path_factory.mktemp("looks"), models, hold_unserved=True, report_interval=0.2) as running:
        running.start_gateway()
        for name in ("llama3.1-8b", "deepseek-r1-distill-qwen-32b", "stable_diffusion"):
            running.start_worker(name)
        yield running


def replies(page: Page, text: str) -> None:
    """Have the models answer this, whatever is asked."""

    def ask(route: Route) -> None:
        body = route.request.post_data_json
        body["messages"][-1]["content"] = f"echo {text}"
        route.continue_(post_data=json.dumps(body))

    page.route(f"**{CHATS}", ask)


def ask(page: Page, reply: str = REPLY) -> None:
    replies(page, reply)
    expect(page.locator("#model-a")).to_be_enabled()
    page.locator("#model-a").select_option("llama3.1-8b")
    page.locator("#prompt").fill(QUESTION)
    page.locator("#send").click()


def empty(page: Page) -> None:
    expect(page.locator("#pool-a .state")).to_have_text("ready")


def options(page: Page) -> None:
    empty(page)
    page.locator("#options summary").click()
    page.locator("#code summary").click()
    expect(page.locator("#code-curl code")).to_contain_text("curl")


def answering(page: Page) -> None:
    ask(page, f"{REPLY} {'and so on ' * 300}")
    expect(page.locator("#transcript-a .answer")).to_contain_text("Slices copy")
    expect(page.locator("#rate-a")).to_have_text(re.compile(r"\d"))


def ended(page: Page) -> None:
    ask(page)
    answered(page)


def reasoned(page: Page) -> None:
    said: list[dict[str, Any]] = [
        {"reasoning": "The question is about lists. A list can be turned around in place, or read backwards."},
        {"content": REPLY},
    ]
    body = "".join(
        f"id: {at}\ndata: {json.dumps({'choices': [{'delta': each}]})}\n\n" for at, each in enumerate(said, 1)
    )
    headers = {"Content-Type": "text/event-stream", "X-Job-Id": "job_0"}
    page.route(f"**{CHATS}", lambda route: route.fulfill(body=f"{body}data: [DONE]\n\n", headers=headers))
    expect(page.locator("#model-a")).to_be_enabled()
    page.locator("#prompt").fill(QUESTION)
    page.locator("#send").click()
    answered(page)
    page.locator(".thought summary").click()


def compare(page: Page) -> None:
    expect(page.locator("#model-a")).to_be_enabled()
    page.locator("#compare").click()
    page.locator("#model-b").select_option("deepseek-r1-distill-qwen-32b")
    ask(page)
    answered(page)
    answered(page, status="#status-b")


def waiting(page: Page) -> None:
    expect(page.locator("#model-a")).to_be_enabled()
    page.locator("#model-a").select_option("llama3.3-70b")
    page.locator("#prompt").fill(QUESTION)
    page.locator("#send").click()
    expect(page.locator("#status-a")).to_contain_text("The request is held for", timeout=ENOUGH)


def error(page: Page) -> None:
    empty(page)
    page.locator("#key").fill("sk-crof-wrong")
    page.locator("#prompt").fill(QUESTION)
    page.locator("#send").click()
    answered(page, re.compile(r"\(invalid_key\)$"))


def images(page: Page) -> None:
    page.get_by_role("tab", name="Images").click()
    expect(page.locator("#image-pool .state")).to_have_text("ready")
    page.locator("#image-options summary").click()
    page.locator("#n").fill("2")
    page.locator("#size").fill("256x256")
    for number, prompt in enumerate(
        ("A lighthouse in a storm, oil on canvas", "A fox in the snow, seen from far away")
    ):
        page.locator("#image-prompt").fill(prompt)
        page.locator("#make").click()
        expect(page.locator("#gallery img")).to_have_count(2 * number + 2, timeout=ENOUGH)
    page.locator("#image-options summary").click()


def making(page: Page) -> None:
    page.get_by_role("tab", name="Images").click()
    expect(page.locator("#image-pool .state")).to_have_text("ready")
    page.locator("#image-options summary").click()
    page.locator("#steps").fill("400")
    page.locator("#image-prompt").fill("A lighthouse in a storm, oil on canvas")
    page.locator("#make").click()
    expect(page.locator("#image-status")).to_have_text(re.compile(r"Step \d{2,3} of 400"), timeout=ENOUGH)


STATES = [empty, options, answering, ended, reasoned, compare, waiting, error, images, making]
PICTURED = {
    ended: "playground",
    compare: "playground-compare",
    images: "playground-images",
    empty: "playground-empty",
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_is_wrong_with(browser: Browser, shop: Cluster, state: Callable[[Page], None], theme: Any) -> None:
    with page(browser, shop, color_scheme=theme, viewport=DESK) as shown:
        state(shown)
        assert violations(shown) == []
        if name := PICTURED.get(state):
            picture(shown, f"{name}-{theme}")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_phone_shows(browser: Browser, shop: Cluster, state: Callable[[Page], None], theme: Any) -> None:
    with page(browser, shop, color_scheme=theme, viewport=PHONE, has_touch=True) as shown:
        state(shown)
        assert shown.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert violations(shown) == []
        if name := PICTURED.get(state):
            picture(shown, f"{name}-{theme}-phone")
