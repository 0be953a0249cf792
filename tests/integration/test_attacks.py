"""Keys that are good no more, and jobs of others: every way in is tried with them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import requests
import websocket

from gateway.auth import FRESH
from shared import redis_keys as keys
from shared.accounts import Account
from tests.cluster import Cluster, cluster, wait_for
from tests.conftest import simulated_model
from tests.frames import connect

pytestmark = pytest.mark.integration

CHAT: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "echo one"}], "max_tokens": 5}
PROMPT = {"model": "fast", "context": CHAT["messages"]}
JOB = "job_0123456789abcdef"

WAYS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/chat/completions", CHAT),
    ("POST", "/v1/chat/completions", CHAT | {"stream": True}),
    ("POST", "/v1/completions", {"model": "fast", "prompt": "x"}),
    ("POST", "/v1/images/generations", {"model": "fast", "prompt": "x"}),
    ("POST", "/v1/messages", CHAT),
    ("POST", "/v1/free/fast", CHAT),
    ("POST", "/v1/premium/fast", CHAT),
    ("GET", f"/v1/jobs/{JOB}", None),
    ("GET", f"/v1/jobs/{JOB}/events", None),
    ("DELETE", f"/v1/jobs/{JOB}", None),
    ("GET", "/v1/usage", None),
    ("GET", "/v1/usage/jobs", None),
    ("POST", "/v1/embeddings", {"model": "fast", "input": "x"}),
    ("GET", "/v1/admin/accounts", None),
    ("POST", "/v1/admin/accounts", {"name": "x", "tier": "free"}),
    ("GET", "/v1/admin/accounts/acc_1", None),
    ("PATCH", "/v1/admin/accounts/acc_1", {"tier": "free"}),
    ("GET", "/v1/admin/accounts/acc_1/keys", None),
    ("POST", "/v1/admin/accounts/acc_1/keys", {}),
    ("GET", "/v1/admin/keys", None),
    ("GET", "/v1/admin/keys/key_1", None),
    ("PATCH", "/v1/admin/keys/key_1", {}),
    ("DELETE", "/v1/admin/keys/key_1", None),
    ("GET", "/v1/admin/tiers", None),
]
EVENTS: list[tuple[str, Callable[[str], Any]]] = [
    ("start_stream", lambda key: key),
    ("prompt", lambda key: PROMPT | {"token": key}),
    ("prompt", lambda key: json.dumps(PROMPT | {"token": key})),
    ("resume", lambda key: {"job": JOB, "number": 0, "token": key}),
    ("cancel", lambda key: {"job": JOB, "token": key}),
]


def account_of(running: Cluster, name: str) -> Account:
    found = running.accounts.list_accounts(name=name)
    return found[0] if found else running.accounts.create_account(name, "premium")


def revoked(running: Cluster) -> str:
    made = running.accounts.add_key(account_of(running, "leaver"), "revoked", admin=True)
    running.accounts.revoke_key(made.id)
    return made.secret


def expired(running: Cluster) -> str:
    return running.accounts.add_key(account_of(running, "leaver"), "expired", admin=True, expires=1.0).secret


def suspended(running: Cluster) -> str:
    account = account_of(running, "debtor")
    running.accounts.change_account(account.id, suspended=True)
    return running.accounts.add_key(account, "suspended", admin=True).secret


BAD = [(revoked, "invalid_key", 401), (expired, "invalid_key", 401), (suspended, "account_suspended", 403)]


@pytest.fixture(scope="module", params=BAD, ids=lambda bad: bad[0].__name__)
def bad(request: pytest.FixtureRequest, guarded: Cluster) -> tuple[str, str, int]:
    """A key that was an admin's, and is good no more; the code and the status that tell so."""
    make, code, status = request.param
    return make(guarded), code, status


@pytest.mark.parametrize(("method", "path", "body"), WAYS, ids=lambda part: str(part)[:40])
def test_no_address_takes_a_key_that_is_good_no_more(
    guarded: Cluster, bad: tuple[str, str, int], method: str, path: str, body: Any
) -> None:
    key, code, status = bad
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        response = requests.request(method, guarded.url + path, json=body, headers=headers, timeout=20)
        assert response.status_code == status
        told = response.json()["error"]
        assert told.get("code", code) == code  # Anthropic's errors have none
        assert "type" in told


@contextmanager
def joined(running: Cluster) -> Iterator[websocket.WebSocket]:
    client = connect(running)
    raw = client.sock
    yield client
    client.close()
    raw.close()


def error(client: websocket.WebSocket) -> dict[str, Any]:
    """The next error that the client is told."""
    while packet := client.recv():
        if packet.startswith("42"):
            name, *data = json.loads(packet[2:])
            assert name in ("error", "waiting"), packet
            if name == "error":
                return dict(data[0])
    raise AssertionError("the connection has ended")


@pytest.mark.parametrize(("event", "data"), EVENTS, ids=["start_stream", "prompt", "text", "resume", "cancel"])
def test_nor_does_any_event(
    guarded: Cluster, bad: tuple[str, str, int], event: str, data: Callable[[str], Any]
) -> None:
    key, code, _ = bad
    with joined(guarded) as client:
        client.send(f"42{json.dumps([event, data(key)])}")
        assert error(client)["code"] == code


@contextmanager
def left_job(running: Cluster, key: str) -> Iterator[str]:
    """A job of this key that is being run, and waits for its client."""
    body = {"model": "slow", "messages": [{"role": "user", "content": "x"}], "max_tokens": 4000, "stream": True}
    headers = {"X-API-Key": key, "X-Resume-Within": "60"}
    with requests.post(
        f"{running.url}/v1/chat/completions", json=body, headers=headers, stream=True, timeout=20
    ) as asked:
        job = asked.headers["X-Job-Id"]
    yield job
    requests.delete(f"{running.url}/v1/jobs/{job}", headers={"X-API-Key": key}, timeout=20)


def state(running: Cluster, key: str, job: str) -> str:
    headers = {"X-API-Key": key}
    return str(requests.get(f"{running.url}/v1/jobs/{job}", headers=headers, timeout=20).json()["state"])


def test_a_job_is_its_accounts_alone(guarded: Cluster) -> None:
    """Another's job is told of as one that is not there, and goes on."""
    mine = guarded.key()
    others = guarded.accounts.add_key(account_of(guarded, "stranger"), "k", admin=True).secret
    with left_job(guarded, mine) as job:
        for method, path in (("GET", job), ("GET", f"{job}/events"), ("DELETE", job)):
            for name in (path, path.replace(job, JOB)):
                response = requests.request(
                    method, f"{guarded.url}/v1/jobs/{name}", headers={"X-API-Key": others}, timeout=20
                )
                assert response.status_code == 404
                assert response.json()["error"]["code"] == "not_found"
        with joined(guarded) as client:
            for event in ("resume", "cancel"):
                client.send(f"42{json.dumps([event, {'job': job, 'number': 0, 'token': others}])}")
                assert error(client)["code"] == "not_found"
                if event == "resume":
                    assert "||AI ERROR||" in client.recv()
        assert state(guarded, mine, job) in ("queued", "running")


def test_an_idempotency_key_is_its_accounts_alone(guarded: Cluster) -> None:
    ids = set()
    for key in (guarded.key(), guarded.key("free")):
        headers = {"X-API-Key": key, "Idempotency-Key": "the same"}
        response = requests.post(f"{guarded.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=20)
        assert response.status_code == 200
        ids.add(response.headers["X-Job-Id"])
    assert len(ids) == 2


def test_a_connection_whose_key_is_revoked_meanwhile_gets_nothing_more(guarded: Cluster) -> None:
    mine = guarded.accounts.add_key(account_of(guarded, "goer"), "k")
    with left_job(guarded, mine.secret) as job, joined(guarded) as client:
        client.send(f"42{json.dumps(['start_stream', mine.secret])}")
        client.send(f"42{json.dumps(['prompt', PROMPT])}")
        while "ENDOFMESSAGE" not in client.recv():
            pass
        guarded.accounts.revoke_key(mine.id)
        wait_for(lambda: refused(guarded, mine.secret), FRESH + 3, "the key to fail")
        for event, data in (("prompt", PROMPT), ("resume", {"job": job, "number": 0}), ("cancel", {"job": job})):
            client.send(f"42{json.dumps([event, data])}")
            assert error(client)["code"] == "invalid_key"
            if event != "cancel":
                assert "||AI ERROR||" in client.recv()
        assert guarded.valkey.client.exists(keys.job(job))


def refused(running: Cluster, key: str) -> bool:
    headers = {"X-API-Key": key}
    return requests.get(f"{running.url}/v1/usage", headers=headers, timeout=20).status_code == 401


IDS = [
    *(
        "..",
        "%2e%2e",
        "a/b",
        "a%2Fb",
        "%00",
        "a%00b",
        "%ff",
        "%0d%0aX-A:%20b",
        "*",
        "job:*",
        "{job}",
    ),
    *(
        "' OR '1'='1",
        "1; DROP TABLE keys",
        '"',
        "\\",
        "é",
        "🦊",
        "%F0%9F",
        "x" * 5000,
        "job_",
        "job_*",
        "None",
        "-1",
    ),
]


@pytest.mark.parametrize("name", IDS, ids=lambda name: ascii(name[:20]))
def test_an_id_that_is_none_finds_nothing(guarded: Cluster, name: str) -> None:
    key = guarded.key()
    with guarded.processes[0].undisturbed():
        for method, path in (("GET", f"{name}"), ("GET", f"{name}/events"), ("DELETE", name)):
            response = requests.request(
                method, f"{guarded.url}/v1/jobs/{path}", headers={"X-API-Key": key}, timeout=20
            )
            assert response.status_code in (404, 405), response.text
            assert "error" in response.json()
        with joined(guarded) as client:
            client.send(f"42{json.dumps(['cancel', {'job': name, 'token': key}])}")
            assert error(client)["code"] == "not_found"


def test_wrong_keys_of_one_address_are_not_tried_for_ever(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Over every door together; whose key is known goes on, and so do other addresses behind a trusted proxy."""
    settings = {"most_wrong_keys": 10, "trusted_proxies": 1}
    folder = tmp_path_factory.mktemp("guessed")
    with cluster(folder, {"fast": simulated_model()}, **settings) as running:
        running.start_gateway()
        key = running.key()
        here = {"X-Forwarded-For": "203.0.113.7"}
        usage = f"{running.url}/v1/usage"
        assert requests.get(usage, headers=here | {"X-API-Key": key}, timeout=10).status_code == 200
        for number in range(10):
            path = ("/v1/usage", "/v1/admin/keys", "/v1/jobs/x")[number % 3]
            headers = here | {"X-API-Key": f"sk-crof-{number}"}
            assert requests.get(running.url + path, headers=headers, timeout=10).status_code == 401
        response = requests.get(usage, headers=here | {"X-API-Key": "sk-crof-11"}, timeout=10)
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "too_many_wrong_keys"
        assert 0 < int(response.headers["Retry-After"]) <= 60
        # What its own address says before the proxy's does not count.
        lie = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7", "X-API-Key": "sk-crof-12"}
        assert requests.get(usage, headers=lie, timeout=10).status_code == 429
        assert requests.get(usage, headers=here | {"X-API-Key": key}, timeout=10).status_code == 200
        there = {"X-Forwarded-For": "203.0.113.8", "X-API-Key": "sk-crof-13"}
        assert requests.get(usage, headers=there, timeout=10).status_code == 401


def test_a_connection_is_ended_after_some_wrong_keys(guarded: Cluster) -> None:
    with joined(guarded) as client:
        for number in range(5):
            client.send(f"42{json.dumps(['start_stream', f'sk-crof-{number}'])}")
        with suppress(websocket.WebSocketException, OSError):
            while client.recv():
                pass
        with pytest.raises((websocket.WebSocketException, OSError)):
            client.send("3")
            client.recv()
            client.send("3")
