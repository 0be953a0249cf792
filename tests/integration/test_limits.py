"""Limits over a whole cluster of two gateways: what is refused, in all dialects, and what is left afterwards."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import openai
import pytest
import requests
import socketio
import yaml

from shared import redis_keys as keys
from shared.ledger import Ledger
from shared.tiers import Limits
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration

QUOTA = 12_000  # units a day
WORDS = 20  # of an answer
TIERS: dict[str, dict[str, Any]] = {
    "open": {"priority": 3},
    "rated": {"priority": 6, "limits": {"requests_per_day": 3, "units_per_day": 100_000}},
    "metered": {"priority": 6, "limits": {"units_per_day": QUOTA}},
    "pictured": {"priority": 6, "limits": {"images_per_day": 3}, "image_size": "128x128", "image_steps": 4},
    "narrow": {"priority": 6, "limits": {"concurrent_jobs": 1, "units_per_day": 100_000}},
    "hasty": {"priority": 6, "limits": {"requests_per_minute": 1}},
}
names = count()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("limits")
    tiers = folder / "tiers.yaml"
    tiers.write_text(yaml.safe_dump({"tiers": {name: {"description": ""} | tier for name, tier in TIERS.items()}}))
    models = {
        "fast": simulated_model(tokens_per_second=500),
        "slow": simulated_model(tokens_per_second=20, capacity=1, length=4000),
        "pictures": simulated_model(kind="image", tokens_per_second=100, steps=4),
        "bare": {"engine": "simulated", "kind": "chat", "description": ""},
    }
    with cluster(folder, models, tiers_file=tiers) as running:
        running.start_gateway()
        for model in models:
            running.start_worker(model)
        yield running


@pytest.fixture(scope="module")
def urls(running: Cluster) -> tuple[str, str]:
    """Of two gateways."""
    first = running.url
    running.start_gateway()
    return first, running.url


class Account:
    """An account of its own, with a key."""

    def __init__(self, running: Cluster, tier: str, limits: Limits | None = None) -> None:
        account = running.accounts.create_account(f"account {next(names)}", tier)
        key = running.accounts.add_key(account, "its key", limits=limits)
        self.id, self.key, self.secret = account.id, key.id, key.secret
        self._redis = running.valkey.client

    def post(
        self, url: str, path: str = "/v1/chat/completions", *, body: Any = None, **more: Any
    ) -> requests.Response:
        headers = {"X-API-Key": self.secret} | more.pop("headers", {})
        return requests.post(f"{url}{path}", json=body or chat(), headers=headers, timeout=30, **more)

    def counters(self, scope: str = "") -> dict[str, int]:
        """What is counted of the day so far."""
        now = self._redis.time()[0]
        found = self._redis.hgetall(f"limit:{scope or self.id}:86400:{now // 86_400}")
        return {name.decode(): int(value) for name, value in found.items()}

    def open_jobs(self) -> int:
        return int(self._redis.zcard(f"running:{self.id}"))


def chat(words: int = WORDS, model: str = "fast", **more: Any) -> dict[str, Any]:
    content = "echo " + " ".join(["w"] * words)
    return {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": words} | more


def prompt(account: Account, url: str, **fields: Any) -> list[tuple[str, Any]]:
    """All events of a prompt's answer over Socket.IO."""
    client = socketio.SimpleClient()
    client.connect(url, transports=["websocket"])
    try:
        client.emit("prompt", {"token": account.secret} | fields)
        events = []
        while not events or events[-1][0] != "chunk" or events[-1][1] not in ("ENDOFMESSAGE", "||AI ERROR||"):
            event, data = client.receive(timeout=20)
            events.append((event, data))
        return events
    finally:
        client.disconnect()


def jobs(running: Cluster) -> int:
    return sum(1 for _ in running.valkey.client.scan_iter("job:*"))


def await_a_minute(running: Cluster, seconds: int = 6) -> None:
    """Wait until the minute that limits count by has so many seconds left."""
    left = 60 - running.valkey.client.time()[0] % 60
    if left < seconds:
        time.sleep(left)


def is_refused(response: requests.Response, code: str, words: str) -> None:
    assert response.status_code == 429
    error = response.json()["error"]
    assert (error["code"], error["type"]) == (code, "rate_limit_error")
    assert words in error["message"]


ASKED = {
    "whole": lambda account, url: account.post(url),
    "stream": lambda account, url: account.post(url, body=chat(stream=True)),
    "completion": lambda account, url: account.post(
        url, "/v1/completions", body={"model": "fast", "prompt": "echo w", "max_tokens": 5}
    ),
    "seed": lambda account, url: account.post(
        url, "/v1/rated/fast", body={"messages": [{"role": "user", "content": "echo w"}], "max_tokens": 5}
    ),
}


@pytest.mark.parametrize("way", ASKED)
def test_requests_are_counted_over_all_gateways(running: Cluster, urls: tuple[str, str], way: str) -> None:
    account, before = Account(running, "rated"), jobs(running)
    for number in range(3):
        response = ASKED[way](account, urls[number % 2])
        assert response.status_code == 200
        assert response.headers["x-ratelimit-limit-requests"] == "3"
        assert response.headers["x-ratelimit-remaining-requests"] == str(2 - number)
        assert 0 < float(response.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 86_400
        assert response.headers["x-ratelimit-limit-tokens"] == "100000"
    wait_for(lambda: not account.open_jobs(), 10, "all to be settled")
    counted, known = account.counters(), jobs(running)
    for url in urls:
        refused = ASKED[way](account, url)
        is_refused(refused, "quota_exceeded", "The limit is 3 requests a day; 3 are used")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert refused.headers["Content-Type"].startswith("application/json")
        left = float(refused.headers["x-ratelimit-reset-requests"].removesuffix("s"))
        assert left <= int(refused.headers["Retry-After"]) <= left + 1
    assert account.counters() == counted, "a refused request costs nothing"
    assert jobs(running) == known > before, "nor is there a job of it"


def test_a_socket_is_told_what_is_exhausted(running: Cluster, urls: tuple[str, str]) -> None:
    account, said = Account(running, "rated"), {"model": "fast", "max_tokens": 5}
    for number in range(3):
        events = prompt(account, urls[number % 2], context=[{"role": "user", "content": "echo w"}], **said)
        assert events[-1] == ("chunk", "ENDOFMESSAGE")
    events = prompt(account, urls[0], context=[{"role": "user", "content": "echo w"}], **said)
    (error,) = [data for event, data in events if event == "error"]
    assert (error["code"], error["status"]) == ("quota_exceeded", 429)
    assert 0 < error["retry_after"] <= 86_400
    assert events[-1] == ("chunk", "||AI ERROR||")
    (invalid,) = [data for event, data in prompt(account, urls[0], model="fast") if event == "error"]
    assert (invalid["code"], invalid["retry_after"]) == ("invalid_request", None)


def test_after_so_many_seconds_there_is_more(running: Cluster, urls: tuple[str, str]) -> None:
    """Retry-After is the truth: not a moment too early."""
    await_a_minute(running)
    now = running.valkey.client.time()[0]
    time.sleep(max(0, 50 - now % 60))  # the minute is soon over
    account = Account(running, "hasty")
    assert account.post(urls[0]).ok
    refused = account.post(urls[1])
    is_refused(refused, "rate_limit_exceeded", "The limit is 1 request a minute")
    time.sleep(int(refused.headers["Retry-After"]))
    assert account.post(urls[1]).ok


def test_units_are_settled_to_what_was_used(running: Cluster, urls: tuple[str, str]) -> None:
    account = Account(running, "metered")
    response = account.post(urls[0])
    used = response.json()["usage"]
    assert (used["prompt_tokens"], used["completion_tokens"]) == (WORDS + 1, WORDS)
    wait_for(lambda: account.counters()["units"] == 2 * WORDS + 1, 10, "what was not used to be given back")
    again = account.post(urls[1])
    reserved = QUOTA - (2 * WORDS + 1) - int(again.headers["x-ratelimit-remaining-tokens"])
    assert 256 < reserved < 1000
    refused = account.post(urls[1], body=chat(max_tokens=4000, n=4))
    is_refused(refused, "quota_exceeded", f"and the limit is {QUOTA} a day: it will never be admitted. Lower max_")
    assert "Retry-After" not in refused.headers
    assert refused.headers["x-should-retry"] == "false"
    assert int(refused.headers["x-ratelimit-remaining-tokens"]) > 1000
    assert account.post(urls[0]).ok


def test_openais_client_sends_nothing_again_that_will_never_be_admitted(
    running: Cluster, urls: tuple[str, str]
) -> None:
    sent: list[httpx.Request] = []
    transport = httpx.Client(event_hooks={"request": [sent.append]})
    key = Account(running, "metered").secret
    with (
        openai.OpenAI(base_url=f"{urls[0]}/v1", api_key=key, http_client=transport) as client,
        pytest.raises(openai.RateLimitError, match="it will never be admitted"),
    ):
        client.chat.completions.create(**chat(max_tokens=4000, n=4))
    assert len(sent) == 1


def test_a_model_without_sizes_answers_in_full_and_within_what_is_reserved(
    running: Cluster, urls: tuple[str, str]
) -> None:
    account, question = Account(running, "metered"), [{"role": "user", "content": "tell"}]
    asked = {"model": "bare", "messages": question}
    answer = account.post(urls[0], body=asked)
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert answer.json()["usage"]["completion_tokens"] == 64, "the engine's own length"
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) <= QUOTA - 64
    text = answer.json()["choices"][0]["message"]["content"]
    assert account.post(urls[1], "/v1/metered/bare", body={"messages": question}).json() == {"response": text}
    assert [data for _, data in prompt(account, urls[0], model="bare", context=question)][-1] == "ENDOFMESSAGE"
    completion = account.post(urls[0], "/v1/completions", body={"model": "bare", "prompt": "tell"})
    assert completion.json()["usage"]["completion_tokens"] == 16, "as of all models"
    wait_for(lambda: not account.open_jobs(), 10, "all to be settled")
    assert account.counters()["units"] == 3 * (1 + 64) + 1 + 16


def test_images_are_counted(running: Cluster, urls: tuple[str, str]) -> None:
    account, wanted = Account(running, "pictured"), {"model": "pictures", "prompt": "a fox"}
    assert account.post(urls[0], "/v1/images/generations", body=wanted | {"n": 2}).status_code == 200
    refused = account.post(urls[1], "/v1/images/generations", body=wanted | {"n": 2})
    is_refused(
        refused, "quota_exceeded", "The limit is 3 images a day; 2 are used or reserved, and this may need 2."
    )
    response = account.post(urls[1], "/v1/pictured/pictures", body={"prompt": "a fox"})
    assert (response.status_code, response.headers["x-ratelimit-remaining-images"]) == (200, "0")
    is_refused(
        account.post(urls[0], "/v1/images/generations", body=wanted | {"stream": True}),
        "quota_exceeded",
        "3 images",
    )
    (error,) = [data for event, data in prompt(account, urls[0], **wanted) if event == "error"]
    assert error["code"] == "quota_exceeded"
    assert account.post(urls[0]).ok, "a chat needs no image"


@pytest.mark.parametrize(("field", "value"), [("size", "136x128"), ("steps", 5)])
def test_pictures_are_held_to_their_tier(
    running: Cluster, urls: tuple[str, str], field: str, value: object
) -> None:
    account, wanted = Account(running, "pictured"), {"prompt": "a fox", field: value}
    before = jobs(running)
    bound = {"size": "128x128", "steps": "from 1 to 4"}[field]
    for path, more in (("/v1/images/generations", {"model": "pictures"}), ("/v1/pictured/pictures", {})):
        response = account.post(urls[0], path, body=wanted | more)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", field)
        assert bound in error["message"]
    (told,) = [data for event, data in prompt(account, urls[0], model="pictures", **wanted) if event == "error"]
    assert (told["code"], told["param"]) == ("invalid_request", field)
    assert (jobs(running), account.counters()) == (before, {})
    best = Account(running, "open")
    assert best.post(urls[0], "/v1/images/generations", body=wanted | {"model": "pictures"}).ok
    assert best.post(urls[0], "/v1/pictured/pictures", body=wanted).status_code == 400, "the tier it asks for"


def test_a_picture_of_a_tier_takes_no_more_steps(running: Cluster, urls: tuple[str, str]) -> None:
    account = Account(running, "pictured")
    job = account.post(urls[0], "/v1/images/generations", body={"model": "pictures", "prompt": "a fox"})
    told = requests.get(
        f"{urls[0]}/v1/jobs/{job.headers['X-Job-Id']}", headers={"X-API-Key": account.secret}, timeout=10
    ).json()
    assert told["usage"]["image_steps"] == 4


def test_jobs_at_once_are_counted_until_they_end(running: Cluster, urls: tuple[str, str]) -> None:
    account = Account(running, "narrow")
    with account.post(urls[0], body=chat(4000, "slow", stream=True), stream=True) as response:
        assert response.status_code == 200
        refused = account.post(urls[1])
        is_refused(refused, "rate_limit_exceeded", "You have 1 job under way")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "x-ratelimit-remaining-tokens" in refused.headers
        (error,) = [data for event, data in prompt(account, urls[1], **socket_chat()) if event == "error"]
        assert (error["code"], error["retry_after"] >= 1) == ("rate_limit_exceeded", True)
    wait_for(lambda: account.post(urls[1]).ok, 10, "the place of the one that left", every=0.2)


def socket_chat() -> dict[str, Any]:
    body = chat()
    return {"model": "fast", "context": body["messages"], "max_tokens": WORDS}


def test_a_job_that_waits_gives_back_what_it_reserved_as_soon_as_it_is_cancelled(
    running: Cluster, urls: tuple[str, str]
) -> None:
    first, account = Account(running, "open"), Account(running, "metered")
    with first.post(urls[0], body=chat(4000, "slow", stream=True), stream=True):
        more = Account(running, "open")
        with more.post(urls[0], body=chat(4000, "slow", stream=True), stream=True):
            body = chat(10, "slow", stream=True)
            with account.post(urls[0], body=body, stream=True) as response:
                job = response.headers["X-Job-Id"]
                assert account.counters()["units"] > 256
                headers = {"X-API-Key": account.secret}
                gone = requests.delete(f"{urls[1]}/v1/jobs/{job}", headers=headers, timeout=10)
                assert gone.json()["state"] == "cancelled"
                assert account.counters() == {"requests": 1, "units": 0, "images": 0}
                assert account.open_jobs() == 0
            with account.post(urls[1], body=body, stream=True):
                assert account.counters()["units"] > 256
            wait_for(lambda: account.counters()["units"] == 0, 10, "it to be given back when its client leaves")


def test_a_key_has_limits_of_its_own(running: Cluster, urls: tuple[str, str]) -> None:
    account = Account(running, "metered", Limits(requests_per_day=2, units_per_day=50_000, concurrent_jobs=5))
    other = running.accounts.add_key(running.accounts.account(account.id), "another")
    for number in range(2):
        response = account.post(urls[number])
        assert response.headers["x-ratelimit-limit-requests"] == "2"
        assert response.headers["x-ratelimit-limit-tokens"] == str(QUOTA), "less is left to the account"
    is_refused(account.post(urls[0]), "quota_exceeded", "The limit is 2 requests a day")
    wait_for(lambda: not account.open_jobs(), 10, "all to be settled")
    assert account.counters(account.key) == account.counters(), "all was asked for with this key"
    account.secret = other.secret
    response = account.post(urls[1])
    assert (response.status_code, "x-ratelimit-limit-requests" in response.headers) == (200, False)
    assert account.counters(account.key)["requests"] == 2
    assert account.counters()["requests"] == 3


@pytest.mark.parametrize("refused_by", ["hasty", "narrow"])
def test_a_refused_request_leaves_its_idempotency_key_free(
    running: Cluster, urls: tuple[str, str], refused_by: str
) -> None:
    account, once = Account(running, refused_by), {"headers": {"Idempotency-Key": "once"}}
    if refused_by == "hasty":
        await_a_minute(running)
        assert account.post(urls[0]).ok
        assert account.post(urls[0], **once).status_code == 429
        assert account.post(urls[1], body=chat(3), **once).status_code == 429, "no mismatch: it stands for nothing"
    else:
        with account.post(urls[0], body=chat(4000, "slow", stream=True), stream=True):
            assert account.post(urls[0], **once).status_code == 429
        wait_for(lambda: not account.open_jobs(), 10, "it to leave")
        assert account.post(urls[1], **once).ok
    names = list(running.valkey.client.scan_iter(f"idem:{account.id}:*"))
    assert len(names) == (0 if refused_by == "hasty" else 1)


@pytest.mark.timeout(240)
def test_one_quota_spent_by_many_at_once_is_not_overspent(running: Cluster, urls: tuple[str, str]) -> None:
    """A small `make bench-spending`."""
    account, answers, lock = Account(running, "metered"), Counter[str](), threading.Lock()

    def spend(number: int) -> None:
        session, until = requests.Session(), time.monotonic() + 150
        with session:
            for turn in count(number):
                idle = account.open_jobs() == 0
                response = session.post(
                    f"{urls[turn % 2]}/v1/chat/completions",
                    json=chat(1 + turn % WORDS, max_tokens=WORDS),
                    headers={"X-API-Key": account.secret},
                    timeout=30,
                )
                assert response.status_code in (200, 429), response.text
                with lock:
                    answers[str(response.status_code)] += 1
                if response.status_code == 429 and idle:
                    return
                assert time.monotonic() < until, "it has not run dry"

    with ThreadPoolExecutor(40) as pool:
        for done in [pool.submit(spend, number) for number in range(40)]:
            done.result()
    client = running.valkey.client
    wait_for(lambda: account.open_jobs() == 0, 10, "all jobs to end")
    wait_for(lambda: client.xlen(keys.USAGE) == 0, 10, "the ledger to be written")
    rows = Ledger(running.settings.sql_url).rows(account.id, limit=10_000)
    spent = sum(row.units for row in rows)
    assert QUOTA - 500 < spent <= QUOTA
    assert account.counters() == {"requests": len(rows), "units": spent, "images": 0}
    assert (len(rows), {row.state for row in rows}) == (answers["200"], {"succeeded"})
    is_refused(account.post(urls[0]), "quota_exceeded", f"The limit is {QUOTA} units a day")
