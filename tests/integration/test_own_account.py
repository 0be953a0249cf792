"""What an account is told of itself, the jobs that were given up, and a plan, as a running gateway tells them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from gateway.admin_key import admin_key_file
from gateway.openapi import document
from shared import redis_keys as keys
from shared.dead_letters import DeadLetters
from shared.ledger import Ledger
from shared.messages import DeadLetter
from shared.tiers import Limits
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.factories import make_job, make_usage
from tests.streams import streams

pytestmark = pytest.mark.integration

COMPONENTS = document(600, ["premium", "free"])["components"]
TIERS = "tiers: {free: {limits: {requests_per_minute: 50, units_per_day: 100000, concurrent_jobs: 4}}}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "tiers.yaml").write_text(TIERS)
    models = {"fast": simulated_model(tokens_per_second=500), "slow": simulated_model(tokens_per_second=20)}
    with cluster(folder, models, tiers_file=folder / "tiers.yaml", hold_unserved=True) as running:
        running.start_gateway()
        for name in models:
            running.start_worker(name)
        yield running


def ask(served: Cluster, key: str, path: str, method: str = "GET", body: Any = None) -> requests.Response:
    return requests.request(method, f"{served.url}/v1/{path}", json=body, headers={"X-API-Key": key}, timeout=30)


def told(served: Cluster, key: str, path: str, method: str = "GET", *, schema: str = "", body: Any = None) -> Any:
    answer = ask(served, key, path, method, body)
    assert answer.status_code == 200, answer.text
    if schema:
        Draft202012Validator(COMPONENTS["schemas"][schema] | {"components": COMPONENTS}).validate(answer.json())
    return answer.json()


def admin(served: Cluster) -> str:
    return admin_key_file(served.folder).read_text().strip()


def chat(served: Cluster, key: str) -> None:
    body = {"model": "fast", "messages": [{"role": "user", "content": "echo a b"}], "max_tokens": 4}
    assert ask(served, key, "chat/completions", "POST", body).status_code == 200


# ---- the account


def test_what_is_used_of_each_limit_is_told(served: Cluster) -> None:
    account = served.accounts.create_account("used", "free")
    key = served.accounts.add_key(account, "own", limits=Limits(requests_per_day=7))
    for _ in range(2):
        chat(served, key.secret)
    found = told(served, key.secret, "account", schema="OwnAccount")
    assert (found["id"], found["name"], found["tier"], found["key"]["id"]) == (account.id, "used", "free", key.id)
    assert "secret" not in found["key"]
    minute = found["limits"]["requests_per_minute"]
    # A minute may have begun between the two.
    assert (minute["limit"], minute["used"] <= 2, 0 < minute["resets"] <= 60) == (50, True, True)
    assert found["limits"]["requests_per_day"]["limit"] == 5000, "the shipped tier's"
    units = found["limits"]["units_per_day"]
    assert (units["limit"], units["used"] > 0, 0 < units["resets"] <= 86_400) == (100_000, True, True)
    assert found["limits"]["concurrent_jobs"] == {"limit": 4, "used": 0, "resets": None}
    assert found["key_limits"]["requests_per_day"]["limit"] == 7
    assert found["key_limits"]["requests_per_day"]["used"] == 2
    assert found["key_limits"]["requests_per_minute"]["limit"] is None


def test_jobs_under_way_are_counted(served: Cluster) -> None:
    with streams(served, "slow", "echo " + "a " * 60, 1) as opened:
        key = served.key()  # of the account that they ask with
        wait_for(lambda: under_way(served, key) == 1, 10, "a job to be counted")
    assert opened[0].done
    wait_for(lambda: under_way(served, key) == 0, 10, "its end")


def under_way(served: Cluster, key: str) -> int:
    return int(told(served, key, "account")["limits"]["concurrent_jobs"]["used"])


def test_requests_tell_their_time_to_the_first_token(served: Cluster) -> None:
    account = served.accounts.create_account("timed", "free")
    key = served.accounts.add_key(account, "own").secret
    now = time.time()
    Ledger(served.settings.sql_url).record(
        [
            make_usage(
                "job_streamed", account=account.id, created=now, begun=now, first=now + 0.25, ended=now + 1
            ),
            make_usage("job_whole", account=account.id, created=now - 1, begun=now, first=None, ended=now + 1),
        ]
    )
    rows = told(served, key, "usage/jobs", schema="UsageJobs")["data"]
    assert [(row["id"], row["ttft_seconds"]) for row in rows] == [("job_streamed", 0.25), ("job_whole", None)]


# ---- jobs that were given up


@pytest.fixture
def letters(served: Cluster) -> Iterator[DeadLetters]:
    client = served.valkey.client
    owner = served.accounts.create_key("owner", "free").account
    for number in range(45):  # more than are read at once
        job = make_job(
            f"job_{number}",
            model="fast",
            account=owner,
            body={"messages": [{"role": "user", "content": "secret"}]},
        )
        client.lpush(keys.DEAD, DeadLetter(job=job, reason="it killed its workers", died=time.time()).encode())
    yield DeadLetters(client)
    client.delete(keys.DEAD)


def test_they_are_for_admins_alone(served: Cluster, letters: DeadLetters) -> None:
    key = served.key()
    for method, path in (("GET", ""), ("POST", "/job_1/retry"), ("DELETE", "/job_1")):
        answer = ask(served, key, f"admin/dead-letters{path}", method)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_required")
    assert len(letters.all()) == 45


def test_they_are_listed_in_pages_without_their_requests(served: Cluster, letters: DeadLetters) -> None:
    found: list[str] = []
    query, more = "limit=10", True
    while more:
        page = told(served, admin(served), f"admin/dead-letters?{query}", schema="DeadLetters")
        assert "secret" not in str(page)
        found += [letter["id"] for letter in page["data"]]
        query, more = f"limit=10&after={page['last_id']}", page["has_more"]
    assert found == [f"job_{number}" for number in reversed(range(45))]
    answer = ask(served, admin(served), "admin/dead-letters?after=none")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")


def test_one_is_run_again_and_forgotten(served: Cluster, letters: DeadLetters) -> None:
    path = "admin/dead-letters/job_7/retry"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(served, admin(served), path, "POST"), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    [again] = [answer.json() for answer in answers if answer.status_code == 200]
    Draft202012Validator(COMPONENTS["schemas"]["DeadLetterRetried"]).validate(again)
    assert letters.find("job_7") is None
    key = served.accounts.create_key("owner", "free").secret
    wait_for(lambda: told(served, key, f"jobs/{again['job']}")["state"] == "succeeded", 20, "it to be answered")


def test_one_is_dropped(served: Cluster, letters: DeadLetters) -> None:
    path = "admin/dead-letters/job_3"
    assert told(served, admin(served), path, "DELETE", schema="DeadLetterDropped")["id"] == "job_3"
    assert letters.find("job_3") is None
    assert len(letters.all()) == 44
    assert ask(served, admin(served), path, "DELETE").status_code == 404


def test_what_nobody_would_serve_stays(served: Cluster, letters: DeadLetters) -> None:
    job = make_job("job_gone", model="gone")
    served.valkey.client.lpush(keys.DEAD, DeadLetter(job=job, reason="", died=time.time()).encode())
    answer = ask(served, admin(served), "admin/dead-letters/job_gone/retry", "POST")
    assert answer.status_code == 404
    assert "no model 'gone' any more" in answer.json()["error"]["message"]
    assert letters.find("job_gone") is not None


# ---- the plan


def test_a_plan_is_made_from_the_ledger(served: Cluster) -> None:
    now = time.time()
    Ledger(served.settings.sql_url).record(
        [
            make_usage(f"busy-{number}", model="fast", created=at, begun=at + 1, first=at + 2, ended=at + 31)
            for number in range(500)
            for at in (now - 60 - number * 10,)
        ]
    )
    path = "admin/plan?gpus=4&since=1d"
    found = told(served, admin(served), path, schema="Plan")
    models = {model["model"]: model for model in found["models"]}
    assert models["fast"]["requests"] >= 500
    assert "slow" in models, "it has a worker"
    assert found["gpus"] == 4
    Ledger(served.settings.sql_url).record(
        [make_usage("another", model="fast", created=now, begun=now, ended=now)]
    )
    assert told(served, admin(served), path) == found, "it is told again, not made again"
    assert ask(served, served.key(), path).status_code == 403


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "gpus"),
        ("gpus=0", "gpus"),
        ("gpus=1.5", "gpus"),
        ("gpus=4&since=1y", "since"),
        ("gpus=4&since=9999d", "since"),
        ("gpus=4&share=0", "share"),
        ("gpus=4&within=-1", "within"),
        ("gpus=4&by_hour=1", "by_hour"),
        ("gpu=4", "gpu"),
    ],
)
def test_mistakes_name_the_field(served: Cluster, query: str, param: str) -> None:
    answer = ask(served, admin(served), f"admin/plan?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
