"""What visitors of the page do, and see."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.look import opened
from tests.cluster import Cluster

CHATS = "/v1/chat/completions"
ANSWER, STATUS = "#transcript-a .answer", "#status-a"
ENOUGH = 30_000  # milliseconds in which everything asked for here has come
FREED = re.compile(r"Stopped\. The slot is free again, .+ after Stop\.")
NOT_BEGUN = "Stopped. It had not begun, and took no slot."


@contextmanager
def page(
    browser: Browser, served: Cluster, *, key: str | None = None, at: str = "", url: str | None = None, **how: Any
) -> Iterator[Page]:
    """The page, with a key, in a context of its own; from the gateway itself, or from another address."""
    with opened(browser, f"{url or served.url}/playground{at}", **how) as page:
        page.locator("#key").fill(served.key() if key is None else key)
        yield page


def ask(page: Page, prompt: str, model: str = "fast") -> None:
    page.locator("#model-a").select_option(model)
    page.locator("#prompt").fill(prompt)
    page.locator("#prompt").press("Enter")


def answered(page: Page, text: str | re.Pattern[str] = "Done.", status: str = STATUS) -> None:
    expect(page.locator(status)).to_have_text(text, timeout=ENOUGH)


def running(served: Cluster, model: str) -> int:
    return int(requests.get(f"{served.url}/v1/models/{model}", timeout=20).json()["running"])


def words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


def event(number: int, **said: Any) -> str:
    return f"id: {number}\ndata: {json.dumps(said)}\n\n"


def says(page: Page, *events: str, job: str = "job_0") -> None:
    """Have the API answer each chat with these events, and an end."""
    headers = {"Content-Type": "text/event-stream", "X-Job-Id": job}

    def answer(route: Route) -> None:
        route.fulfill(body="".join([*events, "data: [DONE]\n\n"]), headers=headers)

    page.route(f"**{CHATS}", answer)
