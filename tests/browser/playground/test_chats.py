"""The playground: an answer, how it is asked for, and its end before its time."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.playground.visit import (
    ANSWER,
    CHATS,
    FREED,
    STATUS,
    answered,
    ask,
    event,
    page,
    running,
    says,
    words,
)
from tests.cluster import Cluster, wait_for

pytestmark = pytest.mark.browser


def test_an_answer_is_streamed_and_measured(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, f"echo {words(150)}", "slow")
        expect(shown.locator(STATUS)).to_have_text("Answering…")
        expect(shown.locator(ANSWER)).to_contain_text("w3")
        expect(shown.locator("#first-a")).to_have_text(re.compile(r"[\d.]+ m?s"))
        expect(shown.locator("#amount-a")).to_have_text(re.compile(r"\d+"))
        expect(shown.locator("#rate-a")).to_have_text(re.compile(r"[\d.]+"))
        assert shown.locator(".answering").count() == 1
        answered(shown)
        expect(shown.locator(ANSWER)).to_have_text(words(150))
        expect(shown.locator("#unit-a")).to_have_text("Tokens")
        expect(shown.locator("#amount-a")).to_have_text("150")
        assert 10 < float(shown.locator("#rate-a").text_content()) < 25
        assert shown.locator(".answering").count() == 0
        expect(shown.get_by_role("status")).to_have_text("slow: Done.")


def test_a_conversation_goes_on(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "echo one")
        answered(shown)
        with shown.expect_request(f"**{CHATS}") as asked:
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


def test_parameters_are_sent(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        shown.get_by_text("System prompt and parameters").click()
        fields = {"temperature": "0.5", "top_p": "0.9", "max_tokens": "3", "seed": "-7"}
        for field, value in (fields | {"system": "Be brief.", "stop-texts": "END\na\\nb"}).items():
            shown.locator(f"#{field}").fill(value)
        with shown.expect_request(f"**{CHATS}") as asked:
            ask(shown, "echo a b c d")
        body = asked.value.post_data_json
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        names = ("temperature", "top_p", "max_tokens", "seed", "stop")
        assert [body[name] for name in names] == [0.5, 0.9, 3, -7, ["END", "a\nb"]]
        answered(shown, "Cut off: the limit of tokens is reached.")
        expect(shown.locator(ANSWER)).to_have_text("a b c")


def test_a_field_that_is_wrong_is_shown(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        options = shown.locator("#options")
        options.locator("summary").click()
        shown.locator("#temperature").fill("5")
        options.locator("summary").click()
        ask(shown, "echo a")
        expect(options).to_have_attribute("open", "")
        expect(shown.locator("#temperature")).to_be_focused()
        assert shown.locator("#transcript-a article").count() == 0


def test_reasoning_is_folded(browser: Browser, served: Cluster) -> None:
    said = [
        {"delta": {"role": "assistant", "content": ""}},
        {"delta": {"reasoning": "Let me "}},
        {"delta": {"reasoning": "<b>think</b>."}},
        {"delta": {"content": "It is **so**."}, "finish_reason": "stop"},
    ]
    with page(browser, served) as shown:
        says(shown, *(event(number, choices=[choice]) for number, choice in enumerate(said, 1)))
        ask(shown, "why?")
        answered(shown)
        thought = shown.locator("details.thought")
        expect(thought.locator("summary")).to_have_text(re.compile(r"Reasoning, .+"))
        expect(thought.locator("div")).to_be_hidden()
        thought.locator("summary").click()
        expect(thought.locator("div")).to_have_text("Let me <b>think</b>.")
        expect(shown.locator(f"{ANSWER} strong")).to_have_text("so")


def test_counts_that_come_with_the_events_are_shown(browser: Browser, served: Cluster) -> None:
    said = [({"content": "One"}, 3), ({"content": " more"}, 5)]
    told = [
        event(number, choices=[{"delta": delta}], usage={"completion_tokens": tokens})
        for number, (delta, tokens) in enumerate(said, 1)
    ]
    with page(browser, served) as shown:
        says(shown, *told, event(3, choices=[], usage={"completion_tokens": 6}))
        ask(shown, "why?")
        answered(shown)
        expect(shown.locator("#amount-a")).to_have_text("6")
        expect(shown.locator("#rate-a")).to_have_text("–")  # all came at once: nothing was measured


@pytest.mark.parametrize("way", ["button", "key"])
def test_stop_frees_the_slot(browser: Browser, served: Cluster, way: str) -> None:
    with page(browser, served) as shown:
        ask(shown, "a long story", "slow")
        expect(shown.locator(ANSWER)).not_to_be_empty()
        wait_for(lambda: running(served, "slow") == 1, 10, "the job to run")
        if way == "button":
            shown.get_by_role("button", name="Stop").click()
        else:
            shown.locator("#prompt").press("Escape")
        expect(shown.locator(STATUS)).to_have_text(FREED)
        wait_for(lambda: running(served, "slow") == 0, 10, "the slot to be free")
        expect(shown.get_by_role("button", name="Stop")).to_be_disabled()
        assert shown.locator(ANSWER).text_content()


def test_leaving_the_page_frees_the_slot(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "a long story", "slow")
        expect(shown.locator(ANSWER)).not_to_be_empty()
        wait_for(lambda: running(served, "slow") == 1, 10, "the job to run")
        shown.goto("about:blank")
        wait_for(lambda: running(served, "slow") == 0, 10, "the slot to be free")


def test_a_new_chat_ends_the_old_one(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, "a long story", "slow")
        expect(shown.locator(ANSWER)).not_to_be_empty()
        shown.get_by_role("button", name="New chat").click()
        wait_for(lambda: running(served, "slow") == 0, 10, "the slot to be free")
        expect(shown.get_by_role("button", name="Stop")).to_be_disabled()
        assert shown.locator("#transcript-a article").count() == 0
        expect(shown.locator(STATUS)).to_be_empty()


def test_tokens_are_counted_as_they_come(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        ask(shown, f"echo {words(1000)}", "slow")
        expect(shown.locator("#unit-a")).to_have_text("Tokens")
        expect(shown.locator(ANSWER)).to_contain_text("w9")
        counts = [int(shown.locator("#amount-a").inner_text()) for _ in range(20)]
        assert counts == sorted(counts)
        assert 9 <= counts[0] <= counts[-1] < 1000
        expect(shown.locator("#rate-unit-a")).to_have_text("Tokens/s")
        shown.locator("#prompt").press("Escape")


def test_two_tabs_answer_at_once_each_with_its_key(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as first:
        second = first.context.new_page()
        second.goto(first.url)
        expect(second.locator("#key")).to_have_value("")
        second.locator("#key").fill(served.key())
        for number, shown in enumerate((first, second)):
            ask(shown, f"echo {number} {words(300)}", "slow")
        for shown in (first, second):
            expect(shown.locator(ANSWER)).to_contain_text("w5")
        wait_for(lambda: running(served, "slow") == 2, 10, "both to run")
        first.locator("#stop").click()
        answered(first, FREED)
        answered(second)
        expect(second.locator(ANSWER)).to_have_text(f"1 {words(300)}")


def test_an_answer_without_any_text_is_told_as_such(browser: Browser, served: Cluster) -> None:
    end = event(1, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    with page(browser, served) as shown:
        says(shown, end)
        ask(shown, "anything")
        answered(shown, "The model ended without any text.")
        expect(shown.locator("#prompt")).to_have_value("anything")


def test_two_models_answer_the_same(browser: Browser, served: Cluster) -> None:
    with page(browser, served) as shown:
        expect(shown.locator("#model-a")).to_be_enabled()
        toggle = shown.get_by_role("button", name="Compare two models")
        toggle.click()
        expect(toggle).to_have_attribute("aria-pressed", "true")
        assert shown.locator("#model-b").input_value() != shown.locator("#model-a").input_value()
        expect(shown.locator("#pool-b .state")).to_have_text("ready")
        shown.locator("#model-b").select_option("slow")
        ask(shown, f"echo {words(100)}")
        answered(shown)
        answered(shown, status="#status-b")
        for column in ("a", "b"):
            expect(shown.locator(f"#transcript-{column} .answer")).to_have_text(words(100))
            expect(shown.locator(f"#amount-{column}")).to_have_text("100")
        rates = [float(shown.locator(f"#rate-{column}").text_content().replace("–", "0")) for column in "ab"]
        assert 10 < rates[1] < 25
        ask(shown, "a long story", "slow")
        expect(shown.locator("#transcript-b .answer").last).not_to_be_empty()
        toggle.click()
        expect(shown.locator("#column-b")).to_be_hidden()
        wait_for(lambda: running(served, "slow") == 1, 10, "the hidden one to be stopped")
        shown.locator("#prompt").press("Escape")
        wait_for(lambda: running(served, "slow") == 0, 10, "the slots to be free")
