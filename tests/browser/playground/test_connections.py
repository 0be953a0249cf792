"""The playground: connections that break, and keys that are not good."""

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Route, expect

from tests.browser.playground.proxy import proxy
from tests.browser.playground.visit import ANSWER, CHATS, ENOUGH, STATUS, answered, ask, page, words
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model

pytestmark = pytest.mark.browser


def test_an_answer_survives_being_offline(browser: Browser, served: Cluster) -> None:
    with proxy(served.url) as between, page(browser, served, url=between.url) as shown:
        ask(shown, f"echo {words(150)}", "slow")
        expect(shown.locator(ANSWER)).to_contain_text("w9")
        between.leave()
        expect(shown.locator(STATUS)).to_have_text("The connection is lost. Trying again…")
        expect(shown.locator("#pool-a")).to_contain_text("The API does not answer now", timeout=ENOUGH)
        between.come_back()
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(150))
        expect(shown.locator("#amount-a")).to_have_text("150")
        expect(shown.locator("#rate-a")).to_have_text("–")  # what comes in one go tells nothing of the speed


def test_an_answer_survives_a_connection_that_falls_silent(browser: Browser, served: Cluster) -> None:
    """As one does when a phone leaves its network: nobody is told."""
    with proxy(served.url) as between, page(browser, served, url=between.url) as shown:
        ask(shown, f"echo {words(100)}", "slow")
        expect(shown.locator(ANSWER)).to_contain_text("w9")
        between.fall_silent()
        expect(shown.locator(STATUS)).to_have_text("The connection is lost. Trying again…", timeout=ENOUGH)
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(100))


def test_an_answer_survives_its_gateway(browser: Browser, tmp_path: Path) -> None:
    with cluster(tmp_path, {"slow": simulated_model(tokens_per_second=20)}) as running:
        first = running.start_gateway()
        running.start_worker("slow")
        with page(browser, running) as shown:
            ask(shown, f"echo {words(120)}", "slow")
            expect(shown.locator(ANSWER)).to_contain_text("w9")
            first.signal(signal.SIGKILL)
            expect(shown.locator(STATUS)).to_have_text("The connection is lost. Trying again…")
            running.spawn_gateway(int(running.url.rsplit(":", 1)[1]))
            answered(shown)
            expect(shown.locator(ANSWER)).to_have_text(words(120))


@pytest.mark.parametrize("most", [1500, 3001, 7777])
def test_an_answer_survives_connections_that_break_anywhere(browser: Browser, served: Cluster, most: int) -> None:
    """In the midst of an event, too: nothing is left out, or said twice."""
    with proxy(served.url) as between, page(browser, served, url=between.url) as shown:
        expect(shown.locator("#model-a")).to_be_enabled()
        between.most = most
        ask(shown, f"echo {words(100)}", "slow")
        expect(shown.locator(ANSWER)).to_contain_text("w99", timeout=2 * ENOUGH)
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(100))
        expect(shown.locator("#amount-a")).to_have_text("100")
        assert between.cuts > 2


def test_a_request_that_reached_nobody_is_given_back(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        tried: list[str] = []

        def refuse(route: Route) -> None:
            tried.append(route.request.headers["idempotency-key"])
            route.abort()

        shown.route(f"**{CHATS}", refuse)
        ask(shown, "echo a")
        answered(shown, "The gateway cannot be reached. Check the network and try again.")
        assert (len(tried), len(set(tried))) == (3, 1), "the same request, three times"
        expect(shown.locator("#prompt")).to_have_value("echo a")
        assert shown.locator("#transcript-a article").count() == 0


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "Type an API key first."),
        ("ключ", "This is no API key: it has characters that no key has."),
        ("sk-crof-wrong", re.compile(r"\(invalid_key\)$")),
    ],
)
def test_without_a_right_key_it_says_so(browser: Browser, served: Cluster, key: str, told: Any) -> None:
    with page(browser, served, key=key) as shown:
        ask(shown, "echo a")
        answered(shown, told)
        expect(shown.locator(STATUS)).to_have_class(re.compile("bad"))
        expect(shown.locator("#prompt")).to_have_value("echo a")


def test_a_key_that_expires_meanwhile_is_told_of(browser: Browser, served: Cluster) -> None:
    """What is under way goes on."""
    key = served.accounts.create_key("short-lived", "premium")
    with page(browser, served, key=key.secret) as shown:
        ask(shown, f"echo {words(150)}", "slow")
        expect(shown.locator(ANSWER)).to_contain_text("w9")
        served.accounts.change_key(key.id, {"expires": time.time()})
        wait_for(lambda: is_refused(served, key.secret), 10, "the key's end")
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(150))
        ask(shown, "echo a")
        answered(shown, re.compile(r"\(invalid_key\)$"))
        expect(shown.locator("#prompt")).to_have_value("echo a")
        assert shown.locator(ANSWER).count() == 1
        shown.locator("#key").fill(served.key())
        shown.locator("#prompt").press("Enter")
        answered(shown)
        expect(shown.locator(ANSWER).last).to_have_text("a")


def is_refused(served: Cluster, key: str) -> bool:
    return requests.get(f"{served.url}/v1/usage", headers={"X-API-Key": key}, timeout=20).status_code == 401


def test_the_key_stays_in_the_tab(browser: Browser, served: Cluster) -> None:
    with page(browser, served, key="sk-crof-mine") as shown:
        shown.reload()
        expect(shown.locator("#key")).to_have_value("sk-crof-mine")
        assert shown.evaluate("localStorage.length") == 0
        assert shown.context.cookies() == []
        other = shown.context.new_page()
        other.goto(shown.url)
        expect(other.locator("#key")).to_have_value("")
