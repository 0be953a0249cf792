"""The playground: who waits is told what for, and how long."""

import re
import time

import pytest
from playwright.sync_api import Browser, expect

from shared.registry import Report
from tests.browser.playground.visit import ANSWER, ENOUGH, NOT_BEGUN, STATUS, answered, ask, page, running, words
from tests.cluster import Cluster, wait_for
from tests.streams import streams

pytestmark = pytest.mark.browser

LOADING = re.compile(r"The model is loading, about \d+ s\.( Place \d+ in the line\.)?")


def test_who_waits_for_a_worker_is_told(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo a b c", "cold")
        expect(shown.locator("#pool-a .state")).to_have_text("cold")
        held = re.compile(r"No worker runs this model now\. The request is held for about \d+ s more\.")
        expect(shown.locator(STATUS)).to_have_text(held)
        served.start_worker("cold")
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text("a b c")
        expect(shown.locator("#pool-a .state")).to_have_text("ready")


def test_a_cold_model_that_loads_answers(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo a b c", "lazy")
        expect(shown.locator(STATUS)).to_contain_text("No worker runs this model now.")
        worker = served.spawn_worker("lazy")
        expect(shown.locator(STATUS)).to_have_text(LOADING, timeout=ENOUGH)
        expect(shown.locator("#pool-a .state")).to_have_text("loading", timeout=ENOUGH)
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text("a b c")
        expect(shown.locator("#pool-a .state")).to_have_text("ready", timeout=ENOUGH)
        worker.stop()


def test_who_waits_for_loading_is_told_how_long(browser: Browser, served: Cluster) -> None:
    now = time.time()
    report = {"id": "loader", "model": "loads", "engine": "simulated", "state": "loading"}
    served.registry.report(Report(**report, progress=0.25, started=now - 10, reported=now))
    with page(browser, served) as shown:
        ask(shown, "echo a", "loads")
        expect(shown.locator(STATUS)).to_have_text("The model is loading, about 30 s.")
        shown.get_by_role("button", name="Stop").click()
        answered(shown, NOT_BEGUN)
    served.registry.remove("loader", "loads")


def test_who_stops_waiting_took_no_slot(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo a", "never")
        expect(shown.locator(STATUS)).to_contain_text("No worker runs this model now.")
        shown.get_by_role("button", name="Stop").click()
        answered(shown, NOT_BEGUN)
        expect(shown.locator("#prompt")).to_have_value("echo a")


def test_it_tells_the_place_in_the_line(browser: Browser, served: Cluster) -> None:
    with streams(served, "narrow", f"echo {words(80)}", 3), page(browser, served) as shown:
        wait_for(lambda: running(served, "narrow") == 1, 10, "a job to run")
        ask(shown, "echo a", "narrow")
        expect(shown.locator(STATUS)).to_have_text(re.compile(r"Place \d in the line(, .+)?\."))
        expect(shown.locator("#pool-a")).to_contain_text("1 running")
        answered(shown)
