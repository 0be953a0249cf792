"""The page /playground in a browser, against simulated models: chats, images, and what goes wrong."""

import ast
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from shared.registry import Report
from tests.browser.look import opened
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.streams import streams

pytestmark = pytest.mark.browser

PATH = "/v1/chat/completions"
ANSWER, STATUS = "#transcript-a .answer", "#status-a"
ENOUGH = 30_000  # milliseconds in which everything asked for here has come
FREED = re.compile(r"Stopped\. The slot is free again, .+ after Stop\.")
NOT_BEGUN = "Stopped. It had not begun, and took no slot."
RENDERED = """async (source) => {
  const { Markdown } = await import("/web/lib/markdown.js");
  const [whole, grown] = [document.createElement("div"), document.createElement("div")];
  new Markdown(whole).append(source);
  const growing = new Markdown(grown);
  for (const character of source) growing.append(character);
  for (const button of [...whole.querySelectorAll("button"), ...grown.querySelectorAll("button")]) button.remove();
  return [whole.innerHTML, grown.innerHTML];
}"""
TIMED = """async (source) => {
  const { Markdown } = await import("/web/lib/markdown.js");
  const begun = performance.now();
  new Markdown(document.createElement("div")).append(source);
  return performance.now() - begun;
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    models = {
        "fast": simulated_model(tokens_per_second=400),
        "slow": simulated_model(tokens_per_second=20, length=2000),
        "narrow": simulated_model(tokens_per_second=20, capacity=1),
        "cold": simulated_model(tokens_per_second=100),
        "never": simulated_model(),
        "loads": simulated_model(),
        "pictures": simulated_model("image", tokens_per_second=10),
    }
    settings: dict[str, Any] = {"hold_unserved": True, "hold": 60, "report_interval": 0.2}
    with cluster(tmp_path_factory.mktemp("playground"), models, **settings) as running:
        running.start_gateway()
        for name in ("fast", "slow", "narrow", "pictures"):
            running.start_worker(name)
        yield running


@contextmanager
def page(browser: Any, served: Cluster, *, key: str | None = None, at: str = "", **context: Any) -> Iterator[Any]:
    """The page, with a key, in a context of its own."""
    with opened(browser, f"{served.url}/playground{at}", **context) as page:
        page.locator("#key").fill(served.key() if key is None else key)
        yield page


def ask(page: Any, prompt: str, model: str = "fast") -> None:
    page.locator("#model-a").select_option(model)
    page.locator("#prompt").fill(prompt)
    page.locator("#prompt").press("Enter")


def answered(page: Any, text: str = "Done.", status: str = STATUS) -> None:
    expect(page.locator(status)).to_have_text(text, timeout=ENOUGH)


def running(served: Cluster, model: str) -> int:
    return int(requests.get(f"{served.url}/v1/models/{model}", timeout=5).json()["running"])


def words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


def event(number: int, **said: Any) -> str:
    return f"id: {number}\ndata: {json.dumps(said)}\n\n"


# ---- an answer


def test_an_answer_is_streamed_and_measured(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, f"echo {words(60)}", "slow")
        expect(shown.locator(STATUS)).to_have_text("Answering…")
        expect(shown.locator(ANSWER)).to_contain_text("w3")
        expect(shown.locator("#first-a")).to_have_text(re.compile(r"[\d.]+ m?s"))
        expect(shown.locator("#amount-a")).to_have_text(re.compile(r"\d+"))
        expect(shown.locator("#rate-a")).to_have_text(re.compile(r"[\d.]+"))
        assert shown.locator(".answering").count() == 1
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(60))
        expect(shown.locator("#unit-a")).to_have_text("Tokens")
        expect(shown.locator("#amount-a")).to_have_text("60")
        assert 10 < float(shown.locator("#rate-a").text_content()) < 25
        assert shown.locator(".answering").count() == 0
        expect(shown.get_by_role("status")).to_have_text("slow: Done.")


def test_a_conversation_goes_on(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo one")
        answered(shown)
        with shown.expect_request(f"**{PATH}") as asked:
            ask(shown, "echo two")
        assert [(each["role"], each["content"]) for each in asked.value.post_data_json["messages"]] == [
            ("user", "echo one"),
            ("assistant", "one"),
            ("user", "echo two"),
        ]
        answered(shown)
        shown.get_by_role("button", name="New chat").click()
        assert shown.locator("#transcript-a article").count() == 0
        expect(shown.locator("#amount-a")).to_have_text("–")


def test_parameters_are_sent(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        shown.get_by_text("System prompt and parameters").click()
        fields = {"temperature": "0.5", "top_p": "0.9", "max_tokens": "3", "seed": "-7"}
        for field, value in (fields | {"system": "Be brief.", "stop-texts": "END\na\\nb"}).items():
            shown.locator(f"#{field}").fill(value)
        with shown.expect_request(f"**{PATH}") as asked:
            ask(shown, "echo a b c d")
        body = asked.value.post_data_json
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        names = ("temperature", "top_p", "max_tokens", "seed", "stop")
        assert [body[name] for name in names] == [0.5, 0.9, 3, -7, ["END", "a\nb"]]
        answered(shown, "Cut off: the limit of tokens is reached.")
        expect(shown.locator(ANSWER)).to_have_text("a b c")


def test_a_field_that_is_wrong_is_shown(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        options = shown.locator("#options")
        options.locator("summary").click()
        shown.locator("#temperature").fill("5")
        options.locator("summary").click()
        ask(shown, "echo a")
        expect(options).to_have_attribute("open", "")
        expect(shown.locator("#temperature")).to_be_focused()
        assert shown.locator("#transcript-a article").count() == 0


def test_reasoning_is_folded(browser: Any, served: Cluster) -> None:
    said = [
        {"delta": {"role": "assistant", "content": ""}},
        {"delta": {"reasoning": "Let me "}},
        {"delta": {"reasoning": "<b>think</b>."}},
        {"delta": {"content": "It is **so**."}, "finish_reason": "stop"},
    ]
    stream = "".join(event(number, choices=[choice]) for number, choice in enumerate(said, 1)) + "data: [DONE]\n\n"
    with page(browser, served) as shown:
        headers = {"Content-Type": "text/event-stream", "X-Job-Id": "job_0"}
        shown.route(f"**{PATH}", lambda route: route.fulfill(body=stream, headers=headers))
        ask(shown, "why?")
        answered(shown)
        thought = shown.locator("details.thought")
        expect(thought.locator("summary")).to_have_text(re.compile(r"Reasoning, .+"))
        expect(thought.locator("div")).to_be_hidden()
        thought.locator("summary").click()
        expect(thought.locator("div")).to_have_text("Let me <b>think</b>.")
        expect(shown.locator(f"{ANSWER} strong")).to_have_text("so")


def test_counts_that_come_with_the_events_are_shown(browser: Any, served: Cluster) -> None:
    said = [({"content": "One"}, 3), ({"content": " more"}, 5)]
    stream = "".join(
        event(number, choices=[{"delta": delta}], usage={"completion_tokens": tokens})
        for number, (delta, tokens) in enumerate(said, 1)
    )
    total = event(3, choices=[], usage={"completion_tokens": 6})
    with page(browser, served) as shown:
        headers = {"Content-Type": "text/event-stream", "X-Job-Id": "job_0"}
        body = f"{stream}{total}data: [DONE]\n\n"
        shown.route(f"**{PATH}", lambda route: route.fulfill(body=body, headers=headers))
        ask(shown, "why?")
        answered(shown)
        expect(shown.locator("#amount-a")).to_have_text("6")
        expect(shown.locator("#rate-a")).to_have_text("–")  # all came at once: nothing was measured


# ---- its end before its time


@pytest.mark.parametrize("way", ["button", "key"])
def test_stop_frees_the_slot(browser: Any, served: Cluster, way: str) -> None:
    with page(browser, served) as shown:
        ask(shown, "a long story", "slow")
        expect(shown.locator(ANSWER)).not_to_be_empty()
        wait_for(lambda: running(served, "slow") == 1, 5, "the job to run")
        if way == "button":
            shown.get_by_role("button", name="Stop").click()
        else:
            shown.locator("#prompt").press("Escape")
        expect(shown.locator(STATUS)).to_have_text(FREED)
        wait_for(lambda: running(served, "slow") == 0, 5, "the slot to be free")
        expect(shown.get_by_role("button", name="Stop")).to_be_disabled()
        assert shown.locator(ANSWER).text_content()


def test_leaving_the_page_frees_the_slot(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "a long story", "slow")
        expect(shown.locator(ANSWER)).not_to_be_empty()
        wait_for(lambda: running(served, "slow") == 1, 5, "the job to run")
        shown.goto("about:blank")
        wait_for(lambda: running(served, "slow") == 0, 10, "the slot to be free")


def test_a_new_chat_ends_the_old_one(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "a long story", "slow")
        expect(shown.locator(ANSWER)).not_to_be_empty()
        shown.get_by_role("button", name="New chat").click()
        wait_for(lambda: running(served, "slow") == 0, 5, "the slot to be free")
        expect(shown.get_by_role("button", name="Stop")).to_be_disabled()
        assert shown.locator("#transcript-a article").count() == 0
        expect(shown.locator(STATUS)).to_be_empty()


# ---- connections that break


def test_an_answer_survives_being_offline(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, f"echo {words(150)}", "slow")
        expect(shown.locator(ANSWER)).to_contain_text("w9")
        shown.context.set_offline(True)
        expect(shown.locator(STATUS)).to_have_text("The connection is lost. Trying again…", timeout=20_000)
        time.sleep(1)
        shown.context.set_offline(False)
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(150))
        expect(shown.locator("#amount-a")).to_have_text("150")
        expect(shown.locator("#rate-a")).to_have_text("–")  # what comes in one go tells nothing of the speed


def test_an_answer_survives_its_gateway(browser: Any, tmp_path: Path) -> None:
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


def test_a_request_that_reached_nobody_is_given_back(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        tried: list[str] = []

        def refuse(route: Any) -> None:
            tried.append(route.request.headers["idempotency-key"])
            route.abort()

        shown.route(f"**{PATH}", refuse)
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
def test_without_a_right_key_it_says_so(browser: Any, served: Cluster, key: str, told: Any) -> None:
    with page(browser, served, key=key) as shown:
        ask(shown, "echo a")
        answered(shown, told)
        expect(shown.locator(STATUS)).to_have_class(re.compile("bad"))
        expect(shown.locator("#prompt")).to_have_value("echo a")


def test_the_key_stays_in_the_tab(browser: Any, served: Cluster) -> None:
    with page(browser, served, key="sk-crof-mine") as shown:
        shown.reload()
        expect(shown.locator("#key")).to_have_value("sk-crof-mine")
        assert shown.evaluate("localStorage.length") == 0
        assert shown.context.cookies() == []
        other = shown.context.new_page()
        other.goto(shown.url)
        expect(other.locator("#key")).to_have_value("")


# ---- waiting


def test_who_waits_for_a_worker_is_told(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo a b c", "cold")
        expect(shown.locator("#pool-a .state")).to_have_text("cold")
        held = re.compile(r"No worker runs this model now\. The request is held for about \d+ s more\.")
        expect(shown.locator(STATUS)).to_have_text(held)
        served.start_worker("cold")
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text("a b c")
        expect(shown.locator("#pool-a .state")).to_have_text("ready", timeout=8000)


def test_who_waits_for_loading_is_told_how_long(browser: Any, served: Cluster) -> None:
    now = time.time()
    report = {"id": "loader", "model": "loads", "engine": "simulated", "state": "loading"}
    served.registry.report(Report(**report, progress=0.25, started=now - 10, reported=now))
    with page(browser, served) as shown:
        ask(shown, "echo a", "loads")
        expect(shown.locator(STATUS)).to_have_text("The model is loading, about 30 s.")
        shown.get_by_role("button", name="Stop").click()
        answered(shown, NOT_BEGUN)
    served.registry.remove("loader", "loads")


def test_who_stops_waiting_took_no_slot(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo a", "never")
        expect(shown.locator(STATUS)).to_contain_text("No worker runs this model now.")
        shown.get_by_role("button", name="Stop").click()
        answered(shown, NOT_BEGUN)
        expect(shown.locator("#prompt")).to_have_value("echo a")


def test_it_tells_the_place_in_the_line(browser: Any, served: Cluster) -> None:
    with streams(served, "narrow", f"echo {words(80)}", 3), page(browser, served) as shown:
        wait_for(lambda: running(served, "narrow") == 1, 5, "a job to run")
        ask(shown, "echo a", "narrow")
        expect(shown.locator(STATUS)).to_have_text(re.compile(r"Place \d in the line(, .+)?\."))
        expect(shown.locator("#pool-a")).to_contain_text("1 running", timeout=8000)
        answered(shown)


# ---- two models


def test_two_models_answer_the_same(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        expect(shown.locator("#model-a")).to_be_enabled()
        toggle = shown.get_by_role("button", name="Compare two models")
        toggle.click()
        expect(toggle).to_have_attribute("aria-pressed", "true")
        assert shown.locator("#model-b").input_value() != shown.locator("#model-a").input_value()
        shown.locator("#model-b").select_option("slow")
        ask(shown, f"echo {words(20)}")
        answered(shown)
        answered(shown, status="#status-b")
        for column in ("a", "b"):
            expect(shown.locator(f"#transcript-{column} .answer")).to_have_text(words(20))
            expect(shown.locator(f"#amount-{column}")).to_have_text("20")
        rates = [float(shown.locator(f"#rate-{column}").text_content().replace("–", "0")) for column in "ab"]
        assert 10 < rates[1] < 25
        ask(shown, "a long story", "slow")
        expect(shown.locator("#transcript-b .answer").last).not_to_be_empty()
        toggle.click()
        expect(shown.locator("#column-b")).to_be_hidden()
        wait_for(lambda: running(served, "slow") == 1, 5, "the hidden one to be stopped")
        shown.locator("#prompt").press("Escape")
        wait_for(lambda: running(served, "slow") == 0, 5, "the slots to be free")


# ---- images


def test_images_are_made_step_by_step(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        shown.get_by_role("tab", name="Images").click()
        expect(shown.locator("#chat")).to_be_hidden()
        shown.get_by_text("Parameters", exact=True).click()
        shown.locator("#n").fill("2")
        shown.locator("#image-seed").fill("41")
        shown.locator("#image-prompt").fill("a <b>cat</b>")
        shown.get_by_role("button", name="Make the image").click()
        expect(shown.locator("#image-status")).to_have_text(re.compile(r"Step \d of 8"))
        expect(shown.locator("#progress")).to_be_visible()
        answered(shown, re.compile(r"2 images after .+\."), "#image-status")
        expect(shown.locator("#progress")).to_be_hidden()
        images = shown.locator("#gallery img")
        expect(images).to_have_count(2)
        assert images.first.get_attribute("alt") == "a <b>cat</b>"
        assert images.first.get_attribute("src").startswith("blob:")
        wait_for(lambda: images.first.evaluate("image => image.naturalWidth") == 64, 5, "the image to be drawn")
        assert shown.locator("#gallery small").all_text_contents() == [
            f"pictures, 64x64, seed {seed}, 8 steps" for seed in (41, 42)
        ]
        with shown.expect_download() as saved:
            shown.get_by_role("link", name="Download").first.click()
        assert saved.value.suggested_filename == "pictures-41.png"
        assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
        shown.get_by_role("button", name="Clear the gallery").click()
        expect(images).to_have_count(0)


def test_an_image_can_be_stopped(browser: Any, served: Cluster) -> None:
    with page(browser, served, at="#images") as shown:
        shown.get_by_text("Parameters", exact=True).click()
        shown.locator("#steps").fill("500")
        shown.locator("#image-prompt").fill("a cat")
        shown.get_by_role("button", name="Make the image").click()
        expect(shown.locator("#image-status")).to_have_text(re.compile(r"Step \d+ of 500"))
        shown.locator("#image-stop").click()
        expect(shown.locator("#image-status")).to_have_text(FREED)
        wait_for(lambda: running(served, "pictures") == 0, 5, "the slot to be free")


# ---- what models write


@pytest.mark.parametrize(
    "said",
    [
        "<img src=x onerror=window.hacked=1>",
        "<script>window.hacked=1</script>",
        "<svg/onload=window.hacked=1>",
        "[x](javascript:window.hacked=1)",
        "[x](JaVa\tScRiPt:window.hacked=1)",
        "[x](data:text/html,<script>window.hacked=1</script>)",
        '![x](x"onerror="window.hacked=1)',
        "<javascript:window.hacked=1>",
        '```"><img src=x onerror=window.hacked=1>\n</code><script>window.hacked=1</script>\n```',
        "| a |\n|---|\n| <iframe srcdoc='<script>parent.hacked=1</script>'> |\n",
        '[a](https://example.org/"onclick="window.hacked=1)',
    ],
)
def test_what_a_model_says_is_never_run(browser: Any, served: Cluster, said: str) -> None:
    with page(browser, served) as shown:
        ask(shown, f"echo {said}")
        answered(shown)
        for anchor in shown.locator(f"{ANSWER} a").all():
            anchor.evaluate("(node) => node.dispatchEvent(new MouseEvent('mouseover'))")
            assert anchor.evaluate("(node) => node.protocol") == "https:"
        assert shown.evaluate("window.hacked") is None
        made = shown.locator(ANSWER).locator("img, script, svg, iframe, [onclick], [onerror], [style]")
        assert made.count() == 0


MARKDOWN = {
    "A **b** *c* `d*` ~~e~~ snake_case_name": (
        "<p>A <strong>b</strong> <em>c</em> <code>d*</code> <del>e</del> snake_case_name</p>"
    ),
    "# One\n\n#### Four\n": '<h4 data-level="1">One</h4><h6 data-level="4">Four</h6>',
    "a\nb\n\nc": "<p>a<br>b</p><p>c</p>",
    "- a\n  - b\n- c": "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
    "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "1. a\n\n2. b": "<ol><li><p>a</p></li><li><p>b</p></li></ol>",
    "> a\n> b": "<blockquote><p>a<br>b</p></blockquote>",
    "a\n***b***": "<p>a<br><em><strong>b</strong></em></p>",
    "a\n\n---\n\nb": "<p>a</p><hr><p>b</p>",
    "```py\nif a < b:\n\n    pass\n```\nafter": (
        '<figure class="code"><figcaption><span>py</span></figcaption>'
        '<pre tabindex="0"><code>if a &lt; b:\n\n    pass</code></pre></figure><p>after</p>'
    ),
    "text\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nc": (
        '<p>text</p><div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>'
        '<th scope="col">a</th><th data-align="right" scope="col">b</th></tr></thead><tbody><tr>'
        '<td>1</td><td data-align="right">2</td></tr></tbody></table></div><p>c</p>'
    ),
    "[a](https://example.org/x) https://example.org/y.": (
        '<p><a href="https://example.org/x" title="https://example.org/x" rel="noopener noreferrer" '
        'target="_blank">a</a> <a href="https://example.org/y" title="https://example.org/y" '
        'rel="noopener noreferrer" target="_blank">https://example.org/y</a>.</p>'
    ),
    "[a](ftp://example.org) \\*b\\* 2 * 3 * 4": "<p>[a](ftp://example.org) *b* 2 * 3 * 4</p>",
    "**kwargs and `*args`": "<p>**kwargs and <code>*args</code></p>",
    "In\n1986. A year": "<p>In<br>1986. A year</p>",
    "": "",
}


def test_markdown_is_the_same_however_it_comes(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        for source, html in MARKDOWN.items():
            whole, grown = shown.evaluate(RENDERED, source)
            assert whole == html, source
            assert grown == html, source


HOSTILE = [
    "*a _b " * 3000,
    "[" * 20_000,
    "[a](" * 4000,
    "`" * 9000 + " ``" * 3000,
    "> " * 5000,
    "- a " * 5000,
    "  - a\n" * 3000,
    "|" * 20_000 + "\n" + "|-" * 9999 + "\n",
    "|a" * 9000 + "\n" + "|-" * 9000 + "\n",
    "(" * 100 + "https://example.org/" + ")" * 19_000,
    "# " + " " * 100_000 + "x",
    "a" * 300_000,
]


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_takes_long(browser: Any, served: Cluster, said: str) -> None:
    with page(browser, served) as shown:
        assert shown.evaluate(TIMED, said) < 2000


# ---- the page itself


def test_it_shows_the_present_request(browser: Any, served: Cluster) -> None:
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


def test_it_is_there_before_the_api_answers(browser: Any, served: Cluster) -> None:
    waiting: list[Any] = []
    opened = browser.new_context()
    shown = opened.new_page()
    shown.route("**/v1/models", waiting.append)
    shown.goto(f"{served.url}/playground")
    expect(shown.get_by_role("heading", name="Playground")).to_be_visible()
    expect(shown.locator("#model-a")).to_have_text("The model list has not loaded")
    waiting[0].abort()
    expect(shown.locator("#pool-a")).to_have_text("The API does not answer now.")
    opened.close()


def test_a_model_can_be_named_in_the_address(browser: Any, served: Cluster) -> None:
    with page(browser, served, at="?model=slow") as shown:
        expect(shown.locator("#model-a")).to_have_value("slow")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_all_screens(browser: Any, served: Cluster, scheme: str, width: int) -> None:
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


def test_the_keyboard_is_enough(browser: Any, served: Cluster) -> None:
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


def test_it_leads_to_the_other_pages(browser: Any, served: Cluster) -> None:
    with page(browser, served) as shown:
        links = shown.get_by_role("navigation").get_by_role("link")
        assert links.all_text_contents() == ["Docs", "Playground", "Status", "Dashboard"]
        assert links.nth(1).get_attribute("aria-current") == "page"
