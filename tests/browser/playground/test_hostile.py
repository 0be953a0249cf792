"""The playground: whatever models, prompts and catalogues say, nothing of it is run."""

import base64
import json
import re
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.hostile import ATTACKS, executed, watch
from tests.browser.playground.visit import ANSWER, CHATS, ENOUGH, STATUS, answered, ask, event, page, says
from tests.cluster import Cluster

pytestmark = pytest.mark.browser

RENDER = """async (texts) => {
  const { Markdown } = await import("/web/lib/markdown.js");
  const root = document.createElement("div");
  document.querySelector("main").append(root);
  for (const text of texts) {
    new Markdown(root.appendChild(document.createElement("div"))).append(text);
    const growing = new Markdown(root.appendChild(document.createElement("div")));
    for (const character of text) growing.append(character);
  }
}"""


@pytest.mark.parametrize("said", ATTACKS)
def test_what_a_model_says(browser: Browser, served: Cluster, said: str) -> None:
    with page(browser, served, ready=watch) as shown:
        ask(shown, f"echo {said}")
        answered(shown)
        expect(shown.locator(ANSWER)).not_to_be_empty()
        assert executed(shown) == []
        assert shown.locator("#transcript-a img").count() == 0


def test_what_a_model_says_however_it_is_put_together(browser: Browser, served: Cluster) -> None:
    together = ["\n".join(ATTACKS), "".join(ATTACKS), " ".join(reversed(ATTACKS))]
    nested = [f"> - 1. **[{said}]({said})** `{said}`" for said in ATTACKS]
    cut = [said[:end] for said in ATTACKS for end in range(1, len(said), 7)]
    long = [f"{said} " * 500 for said in ATTACKS[:3]]
    with page(browser, served, ready=watch) as shown:
        shown.evaluate(RENDER, [*together, *nested, *cut, *long])
        assert executed(shown) == []


def test_what_a_model_thinks(browser: Browser, served: Cluster) -> None:
    said = "\n".join(ATTACKS)
    with page(browser, served, ready=watch) as shown:
        says(shown, event(1, choices=[{"delta": {"reasoning": said}}]))
        ask(shown, "why?")
        answered(shown)
        shown.locator(".thought summary").click()
        assert shown.locator(".thought div").text_content() == said
        assert executed(shown) == []


def test_prompts(browser: Browser, served: Cluster) -> None:
    said = "\n".join(attack for attack in ATTACKS if "\x00" not in attack)
    with page(browser, served, ready=watch) as shown:
        shown.locator("#options summary").click()
        shown.locator("#system").fill(said)
        shown.locator("#code summary").click()
        ask(shown, said)
        answered(shown)
        expect(shown.locator(".asked")).to_contain_text("<script>alert(1)</script>")
        expect(shown.locator("#code-curl code")).to_contain_text("<script>alert(1)</script>")
        assert executed(shown) == []


def test_names_of_models(browser: Browser, served: Cluster) -> None:
    told = requests.get(f"{served.url}/v1/status?uptime=false", timeout=20).json()
    model = next(each for each in told["models"] if each["id"] == "fast")
    names = [*ATTACKS, "__proto__", "constructor", "toString"]
    told["models"] = [model | {"id": name, "state": name, "kind": "chat"} for name in names]

    def ready(shown: Page) -> None:
        watch(shown)
        shown.route("**/v1/status*", lambda route: route.fulfill(json=told))

    with page(browser, served, ready=ready, at="?model=<script>alert(1)</script>") as shown:
        expect(shown.locator("#model-a option")).to_have_count(len(names))
        shown.locator("#compare").click()
        shown.locator("#code summary").click()
        for place in (0, 1, len(ATTACKS)):
            shown.locator("#model-a").select_option(index=place)
            shown.locator("#prompt").fill("echo a")
            shown.locator("#prompt").press("Enter")
            expect(shown.locator(STATUS)).to_have_text(re.compile(r"unknown model .+\(model_not_found\)"))
        assert executed(shown) == []
        says(shown, event(1, choices=[{"delta": {"content": "a"}}]))
        shown.locator("#prompt").press("Enter")
        answered(shown)
        expect(shown.locator("#transcript-a h3").last).to_have_text(shown.locator("#model-a").input_value())
        assert executed(shown) == []


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_errors(browser: Browser, served: Cluster, kind: str) -> None:
    said = " ".join(ATTACKS)

    def answer(route: Route) -> None:
        error = {"error": {"message": said, "code": said, "param": said}}
        body = json.dumps(error) if kind == "application/json" else said
        route.fulfill(status=400, body=body, headers={"Content-Type": kind})

    with page(browser, served, ready=watch) as shown:
        shown.route(f"**{CHATS}", answer)
        ask(shown, "echo a")
        told = (
            "<script>alert(1)"
            if kind == "application/json"
            else "The gateway answered with status 400 and no reason."
        )
        expect(shown.locator(STATUS)).to_contain_text(told)
        assert executed(shown) == []


def test_a_key(browser: Browser, served: Cluster) -> None:
    with page(browser, served, ready=watch, key="<img/src=x/onerror=alert(1)>") as shown:
        ask(shown, "echo a")
        answered(shown, re.compile(r"\(invalid_key\)$"))
        assert executed(shown) == []
        shown.reload()
        assert executed(shown) == []


@pytest.mark.parametrize("made", ["<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", ATTACKS[1]])
def test_images(browser: Browser, served: Cluster, made: str) -> None:
    picture: dict[str, Any] = {
        "type": "image_generation.completed",
        "b64_json": base64.b64encode(made.encode()).decode(),
        "seed": ATTACKS[0],
        "size": ATTACKS[1],
    }
    with page(browser, served, ready=watch, at="#images") as shown:
        headers = {"Content-Type": "text/event-stream", "X-Job-Id": "job_0"}
        body = event(1, **picture)
        shown.route("**/v1/images/generations", lambda route: route.fulfill(body=body, headers=headers))
        shown.locator("#image-prompt").fill(f'" onerror="alert(1) {ATTACKS[0]}')
        shown.locator("#make").click()
        expect(shown.locator("#gallery img")).to_have_count(1, timeout=ENOUGH)
        assert executed(shown) == []
        name = shown.locator("#gallery a").get_attribute("download")
        assert name is not None
        assert re.fullmatch(r"[\w.-]+\.png", name)
