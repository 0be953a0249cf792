"""Keys and accounts as a running system holds them: every gateway hears of a change within a second."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio

from gateway.admin_key import admin_key_file
from gateway.auth import FRESH
from shared import redis_keys
from shared.key_format import PREFIX
from tests.cluster import ROOT, Cluster, cluster, free_port, wait_for
from tests.conftest import simulated_model
from tests.databases import empty_database, own_server

pytestmark = pytest.mark.integration

TIERS = """
tiers:
  gold: {description: More., priority: 1, models: [fast, other]}
  free: {models: [fast]}
"""
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, list[str]]]:
    """Two gateways on one database, and their URLs."""
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "tiers.yaml").write_text(TIERS)
    models = {"fast": simulated_model(tokens_per_second=500), "other": simulated_model(tokens_per_second=500)}
    settings: dict[str, Any] = {"tiers_file": folder / "tiers.yaml"}
    if request.param == "sqlite":
        with cluster(folder, models, **settings) as sqlite:
            yield sqlite, start(sqlite)
        return
    server = request.getfixturevalue("postgres_server")
    with empty_database(server) as url, cluster(folder, models, database_url=url, **settings) as postgres:
        yield postgres, start(postgres)
        postgres.accounts.close()


def start(running: Cluster) -> list[str]:
    urls = []
    for _ in range(2):
        running.start_gateway()
        urls.append(running.url)
    running.start_worker("fast")
    return urls


class Admin:
    def __init__(self, running: Cluster, url: str) -> None:
        self._url = f"{url}/v1/admin"
        self.key = admin_key_file(running.folder).read_text().strip()

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-API-Key": self.key}
        answer = requests.request(method, f"{self._url}/{path}", json=body, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()


def ask(url: str, key: str, model: str = "fast", tier: str = "free") -> tuple[int, str | None, str | None]:
    """The status, and code and param of the error."""
    answer = requests.post(
        f"{url}/v1/{tier}/{model}",
        json={"messages": HELLO, "max_tokens": 4},
        headers={"X-API-Key": key},
        timeout=20,
    )
    error = answer.json().get("error", {})
    return answer.status_code, error.get("code"), error.get("param")


def chat(url: str, key: str, model: str = "fast") -> tuple[int, str | None]:
    answer = requests.post(
        f"{url}/v1/chat/completions",
        json={"model": model, "messages": HELLO, "max_tokens": 4},
        headers={"X-API-Key": key},
        timeout=20,
    )
    return answer.status_code, answer.json().get("error", {}).get("code")


def soon(urls: list[str], say: Callable[[str], Any], wanted: Any) -> None:
    """Every gateway says this to whoever asks a second from now, however long the answer takes."""
    begun = time.monotonic()
    for url in urls:
        asked = time.monotonic()
        while (said := say(url)) != wanted:
            assert asked - begun < FRESH + 0.1, f"{url} still says {said}, not {wanted}"
            time.sleep(0.02)
            asked = time.monotonic()


def test_one_admins_key_is_made_by_many_gateways(running: tuple[Cluster, list[str]]) -> None:
    cluster_, urls = running
    keys = [key for key in cluster_.accounts.list_keys() if key.admin]
    assert len(keys) == 1
    assert admin_key_file(cluster_.folder).stat().st_mode & 0o777 == 0o600
    told = [process.log.read_text() for process in cluster_.processes if process.name == "gateway"]
    assert sum("an admin's key was made" in text for text in told) == 1
    assert not any(PREFIX in text for text in told)
    assert Admin(cluster_, urls[1])("GET", "accounts")["data"][0]["name"] == "admin"


def test_revocation_reaches_every_gateway_within_a_second(running: tuple[Cluster, list[str]]) -> None:
    cluster_, urls = running
    admin = Admin(cluster_, urls[0])
    account = admin("POST", "accounts", {"name": "revoked", "tier": "free"})
    key = admin("POST", f"accounts/{account['id']}/keys", {})
    assert [ask(url, key["secret"])[0] for url in urls] == [200, 200]
    admin("DELETE", f"keys/{key['id']}")
    soon(urls, lambda url: ask(url, key["secret"]), (401, "invalid_key", None))


def test_an_account_manages_its_keys_at_any_gateway(running: tuple[Cluster, list[str]]) -> None:
    cluster_, urls = running
    first = cluster_.accounts.create_key("manages", "premium")

    def own(url: str, method: str, path: str, body: Any = None, key: str = first.secret) -> tuple[int, Any]:
        headers = {"X-API-Key": key}
        answer = requests.request(method, f"{url}/v1/{path}", json=body, headers=headers, timeout=20)
        return answer.status_code, answer.json()

    status, made = own(
        urls[0], "POST", "keys", {"name": "ci", "models": ["fast"], "limits": {"units_per_day": 99}}
    )
    assert status == 200
    assert [chat(url, made["secret"], "other")[0] for url in urls] == [403, 403]
    assert own(urls[1], "PATCH", f"keys/{made['id']}", {"limits": None, "name": "build"})[0] == 200
    soon(urls, lambda url: own(url, "GET", "account", key=made["secret"])[1]["key"]["name"], "build")
    assert own(urls[1], "POST", "keys", {"models": ["other"]}, made["secret"])[0] == 403
    assert [key["name"] for key in own(urls[0], "GET", "keys")[1]["data"]] == ["manages", "build"]
    assert own(urls[0], "DELETE", f"keys/{made['id']}")[0] == 200
    soon(urls, lambda url: chat(url, made["secret"])[0], 401)


def test_an_expired_key_is_refused_at_once(running: tuple[Cluster, list[str]]) -> None:
    cluster_, urls = running
    admin = Admin(cluster_, urls[0])
    account = admin("POST", "accounts", {"name": "expired", "tier": "free"})
    key = admin("POST", f"accounts/{account['id']}/keys", {"expires": time.time() + 5})
    assert ask(urls[0], key["secret"])[0] == 200
    time.sleep(max(0, key["expires"] - time.time()) + 0.05)
    assert ask(urls[0], key["secret"]) == (401, "invalid_key", None)


def test_a_suspended_account_and_a_new_tier_are_heard_of_within_a_second(
    running: tuple[Cluster, list[str]],
) -> None:
    cluster_, urls = running
    admin = Admin(cluster_, urls[1])
    account = admin("POST", "accounts", {"name": "changed", "tier": "free"})
    key = admin("POST", f"accounts/{account['id']}/keys", {})["secret"]
    assert [ask(url, key, tier="premium") for url in urls] == [(403, "tier_required", "tier")] * 2
    admin("PATCH", f"accounts/{account['id']}", {"tier": "premium"})
    soon(urls, lambda url: ask(url, key, tier="premium")[0], 200)
    admin("PATCH", f"accounts/{account['id']}", {"suspended": True})
    soon(urls, lambda url: ask(url, key), (403, "account_suspended", None))
    admin("PATCH", f"accounts/{account['id']}", {"suspended": False})
    soon(urls, lambda url: ask(url, key)[0], 200)


def test_scopes_hold_at_every_address(running: tuple[Cluster, list[str]]) -> None:
    cluster_, [url, _] = running
    admin = Admin(cluster_, url)
    account = admin("POST", "accounts", {"name": "scoped", "tier": "premium"})
    path = f"accounts/{account['id']}/keys"
    fast = admin("POST", path, {"models": ["fast"]})["secret"]
    free = admin("POST", path, {"tiers": ["free"]})["secret"]
    assert [chat(url, fast), chat(url, fast, "other")] == [(200, None), (403, "model_not_allowed")]
    assert ask(url, fast, "other", "premium") == (403, "model_not_allowed", "model")
    assert ask(url, free, tier="premium") == (403, "tier_required", "tier")
    assert ask(url, free)[0] == 200
    # Where the address names no tier, it is the one that the key is for: and that has one model only.
    assert [chat(url, free), chat(url, free, "other")] == [(200, None), (403, "model_not_allowed")]
    assert socket_errors(url, {"model": "other", "context": HELLO, "token": fast}) == ["model_not_allowed"]
    assert ask(url, fast, tier="gold") == (403, "tier_required", "tier")
    assert ask(url, fast, tier="none")[:2] == (404, "not_found")


def socket_errors(url: str, *prompts: dict[str, Any]) -> list[str]:
    """The codes of the errors that these prompts bring."""
    codes: list[str] = []
    with socketio.SimpleClient() as client:
        client.connect(url)
        for prompt in prompts:
            client.emit("prompt", prompt)
            while (event := client.receive(timeout=20))[0] != "error":
                assert event[1] != "ENDOFMESSAGE"
            codes.append(event[1]["code"])
    return codes


def test_usage_is_drained_and_told(running: tuple[Cluster, list[str]]) -> None:
    cluster_, urls = running
    now = time.time()
    key = cluster_.accounts.create_key("used", "free")
    entry = {
        "job": "job_used",
        "account": key.account,
        "key": key.id,
        "model": "fast",
        "tier": "free",
        "kind": "chat",
        "state": "succeeded",
        "units": 15,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "image_steps": 0,
        "images": 0,
        "created": now,
        "ended": now + 1,
    }
    cluster_.valkey.client.xadd(redis_keys.USAGE, entry)  # type: ignore[arg-type]
    wait_for(lambda: cluster_.valkey.client.xlen(redis_keys.USAGE) == 0, 10, "the stream to be drained")
    for url in urls:
        told = requests.get(f"{url}/v1/usage?by=model", headers={"X-API-Key": key.secret}, timeout=20).json()
        assert [(each["model"], each["requests"], each["units"]) for each in told["data"]] == [("fast", 1, 15)]


def test_commands_manage_it(running: tuple[Cluster, list[str]]) -> None:
    cluster_, urls = running
    environment = os.environ | {"CROFAI_DATA_DIR": str(cluster_.folder)}

    def crofai(*arguments: str) -> str:
        command = [sys.executable, "-m", "gateway.cli", *arguments, "--url", urls[0]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    secret = crofai("keys", "create", "by command", "--tier", "gold", "--limit", "requests_per_minute=5")
    assert chat(urls[1], secret, "fast")[0] != 401
    assert "by command" in crofai("keys", "list")
    assert "gold" in crofai("tiers")
    crofai("keys", "revoke", "by command")
    soon(urls, lambda url: chat(url, secret)[0], 401)


def test_many_requests_at_once_are_all_answered(running: tuple[Cluster, list[str]]) -> None:
    """The threads that ask the database get along with the gateway's greenlets."""
    cluster_, urls = running
    secrets = [cluster_.accounts.create_key(f"many {number}", "free").secret for number in range(20)]

    def models(number: int) -> int:
        headers = {"X-API-Key": secrets[number % len(secrets)]}
        return requests.get(f"{urls[number % 2]}/v1/usage", headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(models, range(400))) == {200}


@pytest.mark.parametrize("proxies", [0, 1])
def test_wrong_keys_are_slowed_down_by_address(tmp_path: Path, proxies: int) -> None:
    with cluster(tmp_path, {"fast": simulated_model()}, most_wrong_keys=20, trusted_proxies=proxies) as running:
        running.start_gateway()
        key = running.key()

        def look(secret: str, address: str) -> requests.Response:
            headers = {"X-API-Key": secret, "X-Forwarded-For": f"198.51.100.1, {address}"}
            return requests.get(f"{running.url}/v1/usage", headers=headers, timeout=20)

        assert [look(f"sk-crof-{number}", "192.0.2.1").status_code for number in range(20)] == [401] * 20
        refused = look(key, "192.0.2.1")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_wrong_keys")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        # Whose address it is, the proxy says, if one is trusted; nobody else is believed.
        assert look(key, "192.0.2.2").status_code == (200 if proxies else 429)
        with socketio.SimpleClient() as client:
            client.connect(running.url, headers={"X-Forwarded-For": "192.0.2.1"})
            client.emit("start_stream", "sk-crof-wrong")
            event, error = client.receive(timeout=20)
            assert (event, error["code"]) == ("error", "too_many_wrong_keys")


def test_known_keys_outlast_postgresql_and_others_are_back_with_it(tmp_path: Path) -> None:
    with (
        own_server() as server,
        cluster(tmp_path, {"fast": simulated_model()}, database_url=server.url) as running,
    ):
        running.start_gateway()
        running.start_worker("fast")
        known, other = running.key("free"), running.accounts.create_key("other", "free").secret
        running.accounts.close()
        assert ask(running.url, known)[0] == 200
        server.stop()
        time.sleep(1.1)
        assert ask(running.url, known)[0] == 200
        assert ask(running.url, other) == (503, "accounts_unreachable", None)
        server.start()
        wait_for(lambda: ask(running.url, other)[0] == 200, 15, "the other key to be known")


def test_an_admins_key_is_handed_in(tmp_path: Path) -> None:
    secret = PREFIX + "t" * 43
    with cluster(tmp_path, {"fast": simulated_model()}, admin_key=secret) as running:
        running.start_gateway()
        assert not admin_key_file(tmp_path).exists()
        answer = requests.get(f"{running.url}/v1/admin/tiers", headers={"X-API-Key": secret}, timeout=20)
        assert answer.status_code == 200
        assert secret not in running.processes[-1].log.read_text()


def test_processes_that_start_at_once_agree(database_url: str) -> None:
    script = "from shared.accounts import Accounts; from shared.admin_keys import AdminKeys\n"
    script += f"a, b = Accounts({database_url!r}), AdminKeys({database_url!r}); a.migrate()\n"
    script += "print(a.create_key('ann', 'free').account, b.make('free', lambda secret: None))"
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60) for process in started]
    assert {errors for _, errors in said} == {""}
    account, made = zip(*(output.split() for output, _ in said), strict=True)
    assert len(set(account)) == 1
    assert sorted(made) == ["False", "False", "False", "True"]


def test_gateways_that_start_at_once_make_one_admins_key(tmp_path: Path) -> None:
    with cluster(tmp_path, {"fast": simulated_model()}) as running:
        ports = [free_port() for _ in range(3)]
        for port in ports:
            running.spawn_gateway(port)
        key = ""
        for port in ports:
            url = f"http://127.0.0.1:{port}/v1/admin/keys"
            wait_for(lambda url=url: answers(url), 30, f"{url} to answer")
            key = admin_key_file(tmp_path).read_text().strip()
            assert len(requests.get(url, headers={"X-API-Key": key}, timeout=20).json()["data"]) == 1


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 401
    except requests.ConnectionError:
        return False
