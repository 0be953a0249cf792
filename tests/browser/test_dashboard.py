"""The page /dashboard in a browser, against a running cluster: what holders of keys do there, and admins."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from gateway.admin_key import admin_key_file
from shared import redis_keys as keys
from shared.accounts import Account, NewKey
from shared.ledger import Ledger
from shared.messages import DeadLetter
from shared.tiers import Limits
from tests.browser.hostile import ATTACKS, executed, watch
from tests.browser.look import PHONE, THEMES, opened, picture, violations
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import make_job, make_usage

pytestmark = pytest.mark.browser

DAY = 86_400
TIERS = "tiers: {premium: {description: Served first.}}"
NAMES = [text for text in ATTACKS if text.isprintable() and len(text) < 80][:12]
"""Attacks that can be names of keys and accounts."""
COME_BACK = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
"""What a browser tells a page that it has kept whole."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "tiers.yaml").write_text(TIERS)
    models = {"fast": simulated_model(tokens_per_second=500), "other": simulated_model()}
    with cluster(folder, models, tiers_file=folder / "tiers.yaml", report_interval=0.2) as running:
        running.start_gateway()
        running.start_worker("fast")
        yield running


@pytest.fixture
def account(served: Cluster) -> Account:
    return served.accounts.create_account(f"ann {time.time_ns()}", "premium")


@pytest.fixture
def key(served: Cluster, account: Account) -> NewKey:
    return served.accounts.add_key(account, "laptop")


@pytest.fixture
def used(served: Cluster, account: Account, key: NewKey) -> list[Any]:
    """Fifty jobs of two models and two keys, on ten days."""
    other = served.accounts.add_key(account, "ci")
    now = time.time()
    rows = [
        make_usage(
            f"job_{account.id}_{number}",
            account=account.id,
            key=(key, other)[number % 2].id,
            model=("fast", "other")[number % 5 == 0],
            state="failed" if number == 3 else "succeeded",
            created=(at := now - number % 10 * DAY - number / 100),
            begun=at,
            first=None if number == 3 else at + 0.25,
            ended=at + 1,
        )
        for number in range(50)
    ]
    Ledger(served.settings.sql_url).record(rows)
    return rows


@contextmanager
def page(browser: Any, served: Cluster, key: str | None, **context: Any) -> Iterator[Any]:
    """The page, signed in, if there is a key to do it with."""
    with opened(browser, f"{served.url}/dashboard", **context) as page:
        if key:
            sign_in(page, key)
            expect(page.locator("#board")).to_be_visible()
            expect(page.locator("#chart svg")).to_have_count(1)
        yield page


def sign_in(page: Any, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def admin(served: Cluster) -> str:
    return admin_key_file(served.folder).read_text().strip()


def status(served: Cluster, key: str, path: str = "usage") -> int:
    return requests.get(f"{served.url}/v1/{path}", headers={"X-API-Key": key}, timeout=20).status_code


def entry(page: Any, rows: str, text: str) -> Any:
    """The row of a table that has this text."""
    return page.locator(f"#{rows} tr", has_text=text)


# ---- in and out


def test_who_signs_in_sees_account_and_limits(
    browser: Any, served: Cluster, account: Account, key: NewKey
) -> None:
    with page(browser, served, None) as shown:
        expect(shown.get_by_label("API key")).to_be_focused()
        expect(shown.locator("#board")).to_be_hidden()
        sign_in(shown, key.secret)
        expect(shown.locator("#who")).to_have_text(f"{account.name}, premiumsigned in with the key laptop")
        bars = shown.locator("#limits li")
        expect(bars.first).to_contain_text(re.compile(r"Requests per minute\s*0 of 600\s*anew in \d+ s"))
        expect(shown.locator("#limits progress")).to_have_count(7)
        expect(shown.get_by_role("tab", name="Admin")).to_be_hidden()
        assert shown.evaluate("[Object.values(sessionStorage), localStorage.length]") == [[key.secret], 0]
        assert key.secret not in shown.url
        shown.reload()
        expect(shown.locator("#who")).to_contain_text(account.name)


def test_limits_of_the_key_are_told_beside(browser: Any, served: Cluster, account: Account) -> None:
    limited = served.accounts.add_key(account, "limited", limits=Limits(requests_per_day=4))
    body = {"model": "fast", "messages": [{"role": "user", "content": "echo a"}]}
    headers = {"X-API-Key": limited.secret}
    requests.post(f"{served.url}/v1/chat/completions", json=body, headers=headers, timeout=20)
    with page(browser, served, limited.secret) as shown:
        own = shown.locator("#limits > div", has_text="Of the key that you are signed in with")
        expect(own.locator("li")).to_have_count(1)
        expect(own.locator("li")).to_contain_text("1 of 4")
        shown.get_by_role("button", name="New key").click()
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#key-status")).to_contain_text("has limits of its own, and makes none")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sk-crof-wrong", "unknown, revoked or has expired"),
        ("sk crof", "characters that no key has"),
        ("é", "no key has"),
    ],
)
def test_a_wrong_key_is_told_of(browser: Any, served: Cluster, typed: str, words: str) -> None:
    with page(browser, served, None) as shown:
        sign_in(shown, typed)
        expect(shown.locator("#door-status")).to_contain_text(words)
        expect(shown.get_by_label("API key")).to_have_value(typed)
        expect(shown.locator("#board")).to_be_hidden()
        assert shown.evaluate("sessionStorage.length") == 0


def test_signing_out_leaves_nothing_for_the_next(
    browser: Any, served: Cluster, account: Account, key: NewKey, used: list[Any]
) -> None:
    bob = served.accounts.create_key(f"bob {time.time_ns()}", "free")
    with page(browser, served, key.secret) as shown:
        expect(shown.locator("#request-rows tr")).to_have_count(20)
        shown.get_by_role("button", name="Revoke laptop").click()
        shown.locator("#sure-cancel").click()
        shown.get_by_role("button", name="Change laptop").click()
        shown.locator("#key-cancel").click()
        shown.get_by_role("button", name="Sign out").click()
        expect(shown.get_by_label("API key")).to_be_focused()
        assert shown.evaluate("sessionStorage.length") == 0
        assert account.name not in shown.content()
        assert "laptop" not in shown.content()
        sign_in(shown, bob.secret)
        expect(shown.locator("#key-rows tr")).to_have_count(1)
        expect(shown.locator("#request-rows tr")).to_have_count(0)
        expect(shown.locator("#chart")).to_contain_text("Nothing was used.")


def test_a_page_that_is_come_back_to_shows_no_account_that_was_left(
    browser: Any, served: Cluster, account: Account, key: NewKey
) -> None:
    bob = served.accounts.create_key(f"bob {time.time_ns()}", "free")
    with page(browser, served, key.secret) as shown:
        shown.evaluate(COME_BACK)
        expect(shown.locator("#board")).to_be_visible()
        shown.evaluate("sessionStorage.clear()")
        shown.evaluate(COME_BACK)
        expect(shown.get_by_label("API key")).to_be_focused()
        assert account.name not in shown.content()
        assert shown.evaluate("sessionStorage.length") == 0
        shown.evaluate("key => sessionStorage.setItem('crofai.key', key)", bob.secret)
        shown.evaluate(COME_BACK)
        expect(shown.locator("#who")).to_contain_text("bob")


def test_a_key_that_ends_leads_back_and_nothing_typed_is_lost(
    browser: Any, served: Cluster, account: Account, key: NewKey
) -> None:
    short = served.accounts.add_key(account, "short")
    with page(browser, served, short.secret) as shown:
        shown.get_by_role("button", name="New key").click()
        shown.get_by_label("Name", exact=True).fill("for the build")
        shown.get_by_role("spinbutton", name="Jobs at once").fill("3")
        served.accounts.change_key(short.id, {"expires": time.time()})
        wait_for(lambda: status(served, short.secret) == 401, 10, "the key's end")
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#door-status")).to_contain_text(
            "unknown, revoked or has expired. Sign in with another key"
        )
        expect(shown.locator("dialog[open]")).to_have_count(0)
        assert shown.evaluate("sessionStorage.length") == 0
        sign_in(shown, key.secret)
        expect(shown.locator("#key-dialog")).to_be_visible()
        expect(shown.get_by_label("Name", exact=True)).to_have_value("for the build")
        expect(shown.get_by_role("spinbutton", name="Jobs at once")).to_have_value("3")
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))


# ---- keys


def test_what_is_cancelled_is_not_in_the_next_key(browser: Any, served: Cluster, key: NewKey) -> None:
    with page(browser, served, key.secret) as shown:
        shown.get_by_role("button", name="New key").click()
        shown.get_by_label("Name", exact=True).fill("build")
        shown.get_by_role("spinbutton", name="Requests per minute").fill("5")
        shown.locator("#key-cancel").click()
        shown.get_by_role("button", name="New key").click()
        expect(shown.get_by_label("Name", exact=True)).to_have_value("")
        expect(shown.get_by_role("spinbutton", name="Requests per minute")).to_have_value("")


def test_a_key_is_made_and_shown_once(browser: Any, served: Cluster, key: NewKey) -> None:
    with page(browser, served, key.secret) as shown:
        shown.get_by_role("button", name="New key").click()
        expect(shown.get_by_label("Name", exact=True)).to_be_focused()
        shown.get_by_label("Name", exact=True).fill("build")
        shown.get_by_role("spinbutton", name="Requests per minute").fill("5")
        shown.get_by_label("Models", exact=True).fill("fast")
        shown.get_by_label("Ends").fill("2099-12-31T12:00")
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))
        secret = shown.locator("#secret").text_content()
        for _ in range(2):
            shown.keyboard.press("Escape")
        expect(shown.locator("#secret-dialog")).to_be_visible()
        expect(shown.locator("#secret")).to_have_text(secret)
        assert status(served, secret) == 200
        shown.get_by_role("button", name="Copy the key").click()
        expect(shown.get_by_role("button", name="Copied")).to_be_visible()
        shown.get_by_role("button", name="Done").click()
        row = entry(shown, "key-rows", "build")
        expect(row).to_contain_text("requests per minute: 5")
        expect(row).to_contain_text("models: fast")
        expect(row).to_contain_text("ends 31 Dec 2099")
        assert secret not in shown.content()
        holder = served.accounts.find(secret)
        assert holder is not None
        assert (holder.models, holder.limits) == (frozenset({"fast"}), Limits(requests_per_minute=5))
        shown.get_by_role("button", name="New key").click()
        expect(shown.get_by_label("Name", exact=True)).to_have_value("")


def test_an_end_that_is_over_is_told_as_a_date(browser: Any, served: Cluster, key: NewKey) -> None:
    with page(browser, served, key.secret) as shown:
        shown.get_by_role("button", name="New key").click()
        ends = shown.get_by_label("Ends")
        ends.fill("2020-01-31T12:00")
        shown.get_by_role("button", name="Create").click()
        expect(ends).to_be_focused()
        assert ends.evaluate("(field) => field.validity.rangeUnderflow")
        assert str(time.localtime().tm_year) in ends.evaluate("(field) => field.validationMessage")
        expect(shown.locator("#secret-dialog")).to_be_hidden()
        ends.fill("2099-12-31T12:00")
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))


def test_a_key_is_copied_where_the_browser_has_no_clipboard_for_pages(
    browser: Any, served: Cluster, key: NewKey
) -> None:
    def as_over_plain_http(page: Any) -> None:
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")

    with page(browser, served, key.secret, ready=as_over_plain_http) as shown:
        shown.get_by_role("button", name="New key").click()
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))
        secret = shown.locator("#secret").text_content()
        shown.get_by_role("button", name="Copy the key").click()
        expect(shown.get_by_role("button", name="Copied")).to_be_focused()
        expect(shown.locator("#secret-dialog").get_by_role("status")).to_have_text("Copied")
        shown.get_by_role("button", name="Done").click()
        shown.get_by_role("button", name="New key").click()
        shown.get_by_label("Name", exact=True).press("ControlOrMeta+V")
        expect(shown.get_by_label("Name", exact=True)).to_have_value(secret)


def test_of_many_keys_the_newest_is_the_first(
    browser: Any, served: Cluster, account: Account, key: NewKey
) -> None:
    for number in range(120):
        served.accounts.add_key(account, f"number {number}")
    with page(browser, served, key.secret) as shown:
        rows = shown.locator("#key-rows tr")
        expect(rows).to_have_count(121)
        expect(rows.first).to_contain_text("number 119")
        shown.get_by_role("button", name="Revoke number 119").click()
        shown.locator("#sure-do").click()
        expect(rows).to_have_count(120)
        shown.get_by_role("button", name="Show those that have ended").click()
        expect(rows.first).to_contain_text("number 118")
        expect(rows.last).to_contain_text("number 119")


def test_who_is_at_a_row_stays_there(browser: Any, served: Cluster, account: Account, key: NewKey) -> None:
    served.accounts.add_key(account, "other")
    with page(browser, served, key.secret) as shown:
        change = shown.get_by_role("button", name="Change other")
        change.click()
        shown.get_by_label("Models", exact=True).fill("fast")
        shown.get_by_role("button", name="Save").click()
        expect(entry(shown, "key-rows", "other")).to_contain_text("models: fast")
        expect(change).to_be_focused()
        shown.get_by_role("button", name="Revoke other").click()
        shown.locator("#sure-cancel").click()
        expect(shown.get_by_role("button", name="Revoke other")).to_be_focused()
        shown.get_by_role("button", name="Revoke other").click()
        shown.locator("#sure-do").click()
        expect(shown.get_by_role("heading", name="Keys")).to_be_focused()


def test_what_is_looked_at_is_left_alone_by_a_refresh(browser: Any, served: Cluster) -> None:
    mark = "(part) => { part.seen = true; }"
    with page(browser, served, None, ready=lambda page: page.clock.install()) as shown:
        sign_in(shown, admin(served))
        shown.get_by_role("tab", name="Admin").click()
        parts = [shown.locator("#pool-rows tr[data-id=fast] td").first, shown.locator("#limits h3").first]
        for part in parts:
            part.evaluate(mark)
        with shown.expect_response("**/v1/admin/pools"):
            shown.clock.fast_forward(11_000)
        expect(shown.locator("#pool-rows tr[data-id=fast] td").nth(1)).to_have_text("ready")
        assert [part.evaluate("(part) => part.seen") for part in parts] == [True, True]


def test_a_key_is_renamed_and_its_limits_changed(
    browser: Any, served: Cluster, account: Account, key: NewKey
) -> None:
    other = served.accounts.add_key(account, "old name", limits=Limits(requests_per_day=9), models=["fast"])
    with page(browser, served, key.secret) as shown:
        shown.get_by_role("button", name="Change old name").click()
        expect(shown.get_by_role("spinbutton", name="Requests per day")).to_have_value("9")
        shown.get_by_label("Name", exact=True).fill("new name")
        shown.get_by_role("spinbutton", name="Requests per day").fill("")
        shown.get_by_role("spinbutton", name="Units per day").fill("1000")
        with shown.expect_request("**/v1/keys/*") as sent:
            shown.get_by_role("button", name="Save").click()
        assert sent.value.post_data_json == {"name": "new name", "limits": {"units_per_day": 1000}}
        expect(entry(shown, "key-rows", "new name")).to_contain_text("units per day: 1,000")
        changed = served.accounts.key(other.id)
        assert changed is not None
        assert (changed.limits, changed.models) == (Limits(units_per_day=1000), ["fast"])
        shown.get_by_role("button", name="Change new name").click()
        shown.get_by_label("Models", exact=True).fill("fats")
        shown.get_by_role("button", name="Save").click()
        expect(shown.locator("#key-status")).to_contain_text("models[0]: ")
        expect(shown.get_by_label("Models", exact=True)).to_have_value("fats")


def test_a_key_is_revoked_after_a_question(browser: Any, served: Cluster, account: Account, key: NewKey) -> None:
    other = served.accounts.add_key(account, "lost one")
    with page(browser, served, key.secret) as shown:
        shown.get_by_role("button", name="Revoke lost one").click()
        dialog = shown.get_by_role("dialog", name="Revoke lost one?")
        expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        dialog.get_by_role("button", name="Cancel").click()
        assert served.accounts.find(other.secret) is not None
        shown.get_by_role("button", name="Revoke lost one").click()
        dialog.get_by_role("button", name="Revoke").click()
        expect(entry(shown, "key-rows", "lost one")).to_have_count(0)
        assert served.accounts.find(other.secret) is None
        shown.get_by_role("button", name="Show those that have ended").click()
        expect(entry(shown, "key-rows", "lost one")).to_contain_text("revoked")
        shown.get_by_role("button", name="Revoke laptop").click()
        expect(shown.locator("#sure-text")).to_contain_text("the one that you are signed in with")
        shown.locator("#sure-do").click()
        expect(shown.locator("#door-status")).to_have_text(re.compile("This key is revoked. Sign in with another"))


# ---- usage


def test_usage_is_drawn_and_told(browser: Any, served: Cluster, key: NewKey, used: list[Any]) -> None:
    units = sum(row.units for row in used)
    with page(browser, served, key.secret) as shown:
        expect(shown.locator(".legend li")).to_have_text(
            [f"fast {units * 4 // 5:,}", f"other {units // 5:,}"], use_inner_text=True
        )
        expect(shown.locator("#chart svg g")).to_have_count(30)
        expect(shown.locator("#chart rect:not(.ground)")).to_have_count(10)
        expect(shown.get_by_role("img")).to_have_accessible_name(f"{units:,} units in 30 days, by model")
        shown.get_by_text("As a table").click()
        expect(shown.locator(".as-table tbody tr")).to_have_count(10)
        shown.get_by_role("button", name="7 days").click()
        expect(shown.locator("#chart svg g")).to_have_count(7)
        shown.get_by_role("button", name="90 days").click()
        shown.get_by_role("button", name="By key").click()
        expect(shown.locator(".legend li")).to_have_text([re.compile("(laptop|ci) 375")] * 2)
        shown.get_by_role("button", name="Requests", exact=True).click()
        expect(shown.locator("figcaption")).to_have_text("50 requests in 90 days")
        expect(shown.locator("#today-requests")).to_have_text("5")


def test_keys_of_one_name_are_told_apart(browser: Any, served: Cluster, account: Account, key: NewKey) -> None:
    twin = served.accounts.add_key(account, "laptop")
    now = time.time()
    times = {"created": now, "begun": now, "first": now, "ended": now}
    owner = {"account": account.id, "model": "fast"}
    rows = [
        make_usage(f"job_{each.id}_{number}", key=each.id, **owner, **times)
        for each, count in ((key, 2), (twin, 1))
        for number in range(count)
    ]
    Ledger(served.settings.sql_url).record(rows)
    with page(browser, served, key.secret) as shown:
        shown.get_by_role("button", name="By key").click()
        expect(shown.locator(".legend li")).to_have_text(
            [f"laptop ({key.id}) 30", f"laptop ({twin.id}) 15"], use_inner_text=True
        )


def test_usage_is_taken_away(browser: Any, served: Cluster, key: NewKey, used: list[Any]) -> None:
    asked: list[str] = []
    with page(browser, served, key.secret) as shown:
        shown.on("request", lambda request: asked.append(request.url))
        with shown.expect_download() as taken:
            shown.get_by_role("button", name="Export CSV").click()
        rows = list(csv.DictReader(io.StringIO(taken.value.path().read_text())))
        assert sum(int(row["requests"]) for row in rows) == 50
        assert {row["key_name"] for row in rows} == {"laptop", "ci"}
        assert re.fullmatch(r"usage-\d{4}-\d\d-\d\d-to-\d{4}-\d\d-\d\d\.csv", taken.value.suggested_filename)
        with shown.expect_download() as taken:
            shown.locator("#usage-json").click()
        assert sum(row["requests"] for row in json.loads(taken.value.path().read_text())["data"]) == 50
        with shown.expect_download() as taken:
            shown.locator("#requests-json").click()
        assert len(json.loads(taken.value.path().read_text())) == 50
    assert asked
    assert not [url for url in asked if "sk-crof" in url]


def test_requests_are_listed_in_pages(browser: Any, served: Cluster, key: NewKey, used: list[Any]) -> None:
    with page(browser, served, key.secret) as shown:
        rows = shown.locator("#request-rows tr")
        expect(rows).to_have_count(20)
        newer, older = (shown.get_by_role("button", name=name) for name in ("Newer", "Older"))
        expect(newer).to_be_disabled()
        first = rows.first.get_attribute("data-id")
        cells = rows.first.locator("td").all_text_contents()
        assert cells[1:] == ["other", "succeeded", "250 ms", "10", "5", "15", "laptop"]
        older.click()
        expect(rows.first).not_to_have_attribute("data-id", first)
        older.click()
        expect(rows).to_have_count(10)
        expect(older).to_be_disabled()
        expect(older).to_be_focused()
        newer.click()
        newer.click()
        expect(rows.first).to_have_attribute("data-id", first)
        expect(newer).to_be_disabled()


def test_a_request_that_failed_says_why_while_it_is_known(
    browser: Any, served: Cluster, account: Account, key: NewKey, used: list[Any]
) -> None:
    body = {"model": "fast", "messages": [{"role": "user", "content": "echo " + "a " * 1500}]}
    headers = {"X-API-Key": key.secret, "X-Request-Timeout": "1"}
    answer = requests.post(f"{served.url}/v1/chat/completions", json=body, headers=headers, timeout=20)
    assert answer.status_code == 504

    def newest() -> str:
        found = requests.get(f"{served.url}/v1/usage/jobs?limit=1", headers=headers, timeout=20)
        return str(found.json()["data"][0]["id"])

    wait_for(lambda: newest() not in {row.job for row in used}, 20, "the job to be listed")
    job = newest()
    with page(browser, served, key.secret) as shown:
        row = shown.locator(f"#request-rows tr[data-id='{job}']")
        expect(row.locator("td").nth(2)).to_have_text("failedThe job did not end in its time. (timeout)")
        ended = shown.locator("#request-rows .outcome[data-state=failed]").last
        expect(ended.locator("xpath=..")).to_have_text("failed")
        assert violations(shown) == []
        served.valkey.client.delete(keys.job(job))
        with shown.expect_response("**/v1/jobs/*") as told:
            shown.reload()
        assert told.value.status == 404
        assert told.value.request.url.endswith(job)
        told.value.finished()
        expect(row.locator("td").last).to_have_text("laptop")
        expect(row.locator("td").nth(2)).to_have_text("failed")


# ---- admins


@pytest.fixture
def letters(served: Cluster, account: Account) -> Iterator[None]:
    for name in ("job_first", "job_second"):
        job = make_job(name, model="fast", account=account.id)
        letter = DeadLetter(job=job, reason="it killed its workers", died=time.time())
        served.valkey.client.lpush(keys.DEAD, letter.encode())
    yield
    served.valkey.client.delete(keys.DEAD)


@contextmanager
def admins_page(browser: Any, served: Cluster, **context: Any) -> Iterator[Any]:
    with page(browser, served, admin(served), **context) as shown:
        shown.get_by_role("tab", name="Admin").click()
        yield shown


def test_an_account_is_suspended_and_resumed(browser: Any, served: Cluster, account: Account, key: NewKey) -> None:
    with admins_page(browser, served) as shown:
        row = entry(shown, "account-rows", account.name)
        row.get_by_role("button", name=f"Suspend {account.name}").click()
        shown.get_by_role("dialog").get_by_role("button", name="Suspend").click()
        expect(row.locator(".state")).to_have_text("suspended")
        wait_for(lambda: status(served, key.secret) == 403, 10, "its keys to be refused")
        row.get_by_role("button", name=f"Resume {account.name}").click()
        expect(row.locator(".state")).to_have_text("active")
        wait_for(lambda: status(served, key.secret) == 200, 10, "its keys to be taken")
        own = entry(shown, "account-rows", "admin")
        expect(own.get_by_role("button")).to_have_count(1)
        expect(own.get_by_role("button")).to_have_text("Set")


def test_an_account_is_made_with_its_key(browser: Any, served: Cluster, account: Account) -> None:
    name = f"eve {time.time_ns()}"
    with admins_page(browser, served) as shown:
        shown.get_by_role("button", name="New account").click()
        field = shown.get_by_label("Name of the account")
        expect(field).to_be_focused()
        expect(shown.get_by_label("Tier of the account")).to_have_value("free")
        create = shown.get_by_role("button", name="Create")
        for typed, said in ((" ", "name: "), (account.name, "there is an account ")):
            field.fill(typed)
            create.click()
            expect(shown.locator("#account-status")).to_contain_text(said)
            expect(field).to_be_focused()
        field.fill(name)
        shown.get_by_label("Tier of the account").select_option("premium")
        create.click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))
        expect(shown.get_by_role("dialog", name=f"The key of {name}")).to_be_visible()
        secret = shown.locator("#secret").text_content()
        shown.get_by_role("button", name="Done").click()
        assert secret not in shown.content()
        expect(shown.get_by_role("button", name="New account")).to_be_focused()
        expect(shown.get_by_role("combobox", name=f"Tier of {name}")).to_have_value("premium")
        shown.get_by_role("button", name="New account").click()
        expect(field).to_have_value("")
    holder = served.accounts.find(secret)
    assert holder is not None
    assert (holder.tier, holder.admin, holder.limits) == ("premium", False, None)
    assert [found.name for found in served.accounts.list_accounts(name=name)] == [name]


def test_an_account_that_has_no_key_yet_is_not_made_twice(browser: Any, served: Cluster) -> None:
    name = f"mallory {time.time_ns()}"
    refused: list[Any] = []

    def refuse_once(route: Any) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.abort())

    with admins_page(browser, served) as shown:
        shown.route("**/v1/admin/accounts/*/keys", refuse_once)
        shown.get_by_role("button", name="New account").click()
        shown.get_by_label("Name of the account").fill(name)
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#account-status")).to_contain_text("The gateway cannot be reached.")
        expect(entry(shown, "account-rows", name)).to_have_count(1)
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))
        assert len(served.accounts.list_accounts(name=name)) == 1


def test_an_accounts_tier_is_changed(browser: Any, served: Cluster, account: Account) -> None:
    with admins_page(browser, served) as shown:
        choice = shown.get_by_role("combobox", name=f"Tier of {account.name}")
        button = shown.get_by_role("button", name=f"Set the tier of {account.name}")
        expect(button).to_be_disabled()
        choice.focus()
        shown.keyboard.press("ArrowDown")
        expect(choice).to_have_value("free")
        assert tier(served, account) == "premium", "nothing is changed before it is meant"
        shown.keyboard.press("Tab")
        shown.keyboard.press("Enter")
        expect(shown.locator("#accounts-status")).to_have_text(f"{account.name} is of the tier free now.")
        expect(button).to_be_focused()
        expect(button).to_be_disabled()
        assert tier(served, account) == "free"


def tier(served: Cluster, account: Account) -> str:
    found = served.accounts.account(account.id)
    assert found is not None
    return found.tier


def test_pools_and_tiers_are_shown(browser: Any, served: Cluster) -> None:
    with admins_page(browser, served) as shown:
        expect(shown.locator("#pool-rows tr[data-id=fast] td").nth(1)).to_have_text("ready")
        expect(shown.locator("#pool-rows tr[data-id=fast] td").nth(2)).to_have_text("1 ready")
        expect(shown.locator("#pool-rows tr[data-id=other] .state")).to_have_text("cold")
        expect(shown.locator("#tier-rows tr[data-id=premium]")).to_contain_text("requests per minute: 600")


def test_a_job_that_was_given_up_is_run_again_or_discarded(
    browser: Any, served: Cluster, account: Account, letters: None
) -> None:
    client = served.valkey.client
    with admins_page(browser, served) as shown:
        rows = shown.locator("#letter-rows tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("it killed its workers")
        expect(rows.first).to_contain_text(account.name)
        shown.get_by_role("button", name="Run again job_first").click()
        expect(shown.locator("#letters-status")).to_have_text("It runs again, as a new job.")
        expect(rows).to_have_count(1)
        expect(shown.get_by_role("heading", name="Dead letters")).to_be_focused()
        shown.get_by_role("button", name="Discard job_second").click()
        shown.get_by_role("dialog").get_by_role("button", name="Discard").click()
        expect(rows).to_have_count(0)
        expect(shown.locator("#letters-note")).to_have_text("No job was given up.")
        assert client.llen(keys.DEAD) == 0


def test_a_plan_is_made(browser: Any, served: Cluster, key: NewKey, used: list[Any]) -> None:
    with admins_page(browser, served) as shown:
        shown.get_by_label("From the last").select_option("4w")
        shown.get_by_role("button", name="Plan", exact=True).click()
        expect(shown.locator("#plan-rows tr[data-id=fast]")).to_be_visible(timeout=60_000)
        expect(shown.locator("#plan-note")).to_contain_text("of 8 GPUs are held at least")
        shown.get_by_label("GPUs", exact=True).fill("0")
        shown.get_by_role("button", name="Plan", exact=True).click()
        expect(shown.get_by_label("GPUs", exact=True)).to_be_focused()


def test_others_see_nothing_of_it(browser: Any, served: Cluster, key: NewKey) -> None:
    asked: list[str] = []
    with page(browser, served, None) as shown:
        shown.on("request", lambda request: asked.append(request.url))
        sign_in(shown, key.secret)
        expect(shown.locator("#chart svg")).to_have_count(1)
        expect(shown.locator("#parts")).to_be_hidden()
        expect(shown.locator("#admin")).to_be_hidden()
    assert not [url for url in asked if "/v1/admin/" in url]


def test_the_last_admins_key_takes_a_second_word(browser: Any, served: Cluster) -> None:
    with page(browser, served, admin(served)) as shown:
        shown.locator("#key-rows tr", has_text="this one").get_by_role("button", name="Revoke").click()
        shown.locator("#sure-do").click()
        expect(shown.locator("#sure-status")).to_contain_text("No other admin's key is valid")
        expect(shown.locator("#sure-do")).to_have_text("Revoke all the same")
        shown.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert status(served, admin(served), "admin/tiers") == 200


# ---- data that attacks, and looks


def test_what_attacks_is_shown_as_text(browser: Any, served: Cluster) -> None:
    now = time.time()
    times = {"created": now, "begun": now, "first": now, "ended": now}
    rows: list[Any] = []
    made = [served.accounts.create_account(f"{text} {time.time_ns()}", "premium") for text in NAMES]
    account = made[0]
    bait = served.accounts.add_key(account, "bait", admin=True)
    for text in NAMES:
        own = {"account": account.id, "key": served.accounts.add_key(account, text).id}
        rows.append(make_usage(f"{text} {account.id}", model=text, tier=text, **own, **times))
        job = make_job(f"job_{text}", model=text, account=account.id, tier=text)
        served.valkey.client.lpush(keys.DEAD, DeadLetter(job=job, reason=text, died=now).encode())
    Ledger(served.settings.sql_url).record(rows)

    def texts(shown: Any, place: str) -> set[str]:
        return set(shown.locator(place).all_text_contents())

    try:
        with page(browser, served, bait.secret, ready=watch) as shown:
            expect(shown.locator("#who strong")).to_have_text(account.name)
            expect(shown.locator("#request-rows tr")).to_have_count(len(NAMES))
            assert texts(shown, "#request-rows code") == set(NAMES)
            assert texts(shown, "#key-rows strong") == {*NAMES, "bait"}
            assert texts(shown, ".legend span") < {*NAMES, "Others"}
            shown.get_by_role("button", name="By key").click()
            expect(shown.locator(".chart svg")).to_have_accessible_name(re.compile("by key"))
            assert texts(shown, ".legend span") < {*NAMES, "Others"}
            shown.get_by_text("As a table").click()
            shown.get_by_role("button", name=f"Revoke {NAMES[0]}", exact=True).click()
            expect(shown.locator("#sure-title")).to_have_text(f"Revoke {NAMES[0]}?")
            shown.locator("#sure-cancel").click()
            shown.get_by_role("button", name=f"Change {NAMES[1]}", exact=True).click()
            expect(shown.locator("#key-dialog-title")).to_have_text(f"Change {NAMES[1]}")
            shown.locator("#key-cancel").click()
            shown.get_by_role("tab", name="Admin").click()
            expect(shown.locator("#letter-rows tr")).to_have_count(len(NAMES))
            assert texts(shown, "#letter-rows td:nth-child(4)") == set(NAMES)
            assert texts(shown, "#account-rows strong") >= {each.name for each in made}
            shown.get_by_role("button", name="Plan", exact=True).click()
            expect(shown.locator("#plan-note")).to_contain_text("Used, and no models any more", timeout=60_000)
            assert executed(shown) == []
    finally:
        served.valkey.client.delete(keys.DEAD)
        served.accounts.revoke_key(bait.id, force=True)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_it_is_accessible_and_fits(
    browser: Any,
    served: Cluster,
    account: Account,
    key: NewKey,
    used: list[Any],
    letters: None,
    theme: str,
    phone: bool,
) -> None:
    chat = {"model": "fast", "messages": [{"role": "user", "content": "echo a"}]}
    for _ in range(2):
        requests.post(
            f"{served.url}/v1/chat/completions", json=chat, headers={"X-API-Key": key.secret}, timeout=20
        )
    served.accounts.add_key(account, "narrow", models=["fast"], limits=Limits(requests_per_minute=5), expires=4e9)
    context: dict[str, Any] = {"color_scheme": theme} | ({"viewport": PHONE} if phone else {})
    name = f"{theme}-phone" if phone else theme

    def look(shown: Any, what: str) -> None:
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth"), what
        picture(shown, f"{what}-{name}")
        assert violations(shown) == [], what

    with page(browser, served, None, **context) as shown:
        look(shown, "dashboard-door")
        sign_in(shown, key.secret)
        expect(shown.locator("#request-rows tr")).to_have_count(20)
        expect(shown.locator("#key-rows tr")).to_have_count(3)
        expect(shown.locator("#chart svg g")).to_have_count(30)
        shown.get_by_text("As a table").click()
        assert violations(shown) == []
        shown.get_by_text("As a table").click()
        look(shown, "dashboard")
        shown.get_by_role("button", name="Revoke narrow").click()
        assert violations(shown) == []
        shown.locator("#sure-cancel").click()
        shown.get_by_role("button", name="New key").click()
        look(shown, "dashboard-key")
        shown.get_by_role("button", name="Create").click()
        expect(shown.locator("#secret")).to_have_text(re.compile("sk-crof-.+"))
        assert violations(shown) == []
    with admins_page(browser, served, **context) as shown:
        expect(shown.locator("#letter-rows tr")).to_have_count(2)
        expect(shown.locator("#pool-rows tr[data-id=fast]")).to_be_visible()
        expect(entry(shown, "account-rows", account.name)).to_have_count(1)
        shown.get_by_role("button", name="Plan", exact=True).click()
        expect(shown.locator("#plan-rows tr").first).to_be_visible(timeout=60_000)
        look(shown, "dashboard-admin")
        shown.get_by_role("button", name="New account").click()
        look(shown, "dashboard-account")
