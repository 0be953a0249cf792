"""Passwords that the chart made stay as they are at an upgrade: Helm looks them up, in a cluster of our own."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart import CHART, FEWEST, NAMESPACE, RELEASE, Object, one

RESOURCES = [{"name": "secrets", "namespaced": True, "kind": "Secret", "verbs": ["get"]}]


class Cluster(ThreadingHTTPServer):
    """As much of Kubernetes' API as a look at Secrets takes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secrets: dict[str, Object] = {}
        self.asked: list[str] = []

    def answer(self, path: str) -> Object | None:
        self.asked.append(path)
        known: dict[str, Object] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": RESOURCES},
            "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        }
        secrets = {f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}": each for name, each in self.secrets.items()}
        return (known | secrets).get(path.split("?")[0])


class _Handler(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        found = self.server.answer(self.path)
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(found or missing).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def rendered(cluster: Cluster, values: Object) -> list[Object]:
    """By a Helm that can look things up in the cluster."""
    user = {"name": "test", "user": {}}
    there = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}
    context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
    access = {"apiVersion": "v1", "kind": "Config", "current-context": "test"}
    access |= {"clusters": [there], "users": [user], "contexts": [context]}
    with (
        helm_python.Config(
            kubeconfig_content=yaml.safe_dump(access), namespace=NAMESPACE, storage_driver="memory"
        ) as config,
        helm_python.Chart.load(CHART) as chart,
    ):
        texts = config.render(chart, values, name=RELEASE, namespace=NAMESPACE, is_upgrade=True)
    files = (text for name, text in texts.items() if not name.endswith(".txt"))
    return [each for text in files for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("name, key", [("demo-crofai-valkey", "password"), ("demo-crofai-admin", "admin-key")])
def test_what_is_there_is_kept(cluster: Cluster, name: str, key: str) -> None:
    first = one(rendered(cluster, FEWEST), "Secret", name)
    cluster.secrets[name] = first
    assert one(rendered(cluster, FEWEST), "Secret", name)["data"] == first["data"]
    del cluster.secrets[name]
    assert one(rendered(cluster, FEWEST), "Secret", name)["data"] != first["data"]


def test_a_secret_of_ones_own_is_not_made(cluster: Cluster) -> None:
    own = {"valkey": {"password": {"existingSecret": "mine"}}, "adminKey": {"existingSecret": "mine"}}
    assert not [each for each in rendered(cluster, FEWEST | own) if each["kind"] == "Secret"]
    assert not [path for path in cluster.asked if "secrets" in path]


def test_another_key_of_a_secret_that_is_there_is_made(cluster: Cluster) -> None:
    data = {"other": base64.b64encode(b"x").decode()}
    cluster.secrets["demo-crofai-admin"] = {"apiVersion": "v1", "kind": "Secret", "data": data}
    made = one(rendered(cluster, FEWEST), "Secret", "demo-crofai-admin")["data"]["admin-key"]
    assert base64.b64decode(made).startswith(b"sk-crof-")
