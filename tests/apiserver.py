"""As much of Kubernetes' API as Helm looks at, and the chart as Helm renders it there."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import helm_python
import yaml

from tests.chart import CHART, NAMESPACE, RELEASE, Object

GET: Object = {"namespaced": True, "verbs": ["get", "list"]}
GROUPS = [{"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]}]
SECRETS = {"groupVersion": "v1", "resources": [{"name": "secrets", "kind": "Secret"} | GET]}
DEPLOYMENTS = {"groupVersion": "apps/v1", "resources": [{"name": "deployments", "kind": "Deployment"} | GET]}


class ApiServer(ThreadingHTTPServer):
    """Its Secrets and Deployments are what a test puts there, by their names."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secrets: dict[str, Object] = {}
        self.deployments: dict[str, Object] = {}
        self.asked: list[str] = []

    def answer(self, path: str) -> Object | None:
        self.asked.append(path)
        secrets, deployments = (f"/{at}/namespaces/{NAMESPACE}" for at in ("api/v1", "apis/apps/v1"))
        known: dict[str, Object] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": GROUPS},
            "/api/v1": {"kind": "APIResourceList"} | SECRETS,
            "/apis/apps/v1": {"kind": "APIResourceList"} | DEPLOYMENTS,
            "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
            f"{deployments}/deployments": {
                "kind": "DeploymentList",
                "apiVersion": "apps/v1",
                "items": list(self.deployments.values()),
            },
        }
        known |= {f"{secrets}/secrets/{name}": each for name, each in self.secrets.items()}
        return known.get(path.split("?")[0])

    def rendered(self, values: Object, **how: Any) -> list[Object]:
        """By a Helm that can look things up here."""
        user = {"name": "test", "user": {}}
        there = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        access: Object = {"apiVersion": "v1", "kind": "Config", "current-context": "test"}
        access |= {"clusters": [there], "users": [user], "contexts": [context]}
        with (
            helm_python.Config(
                kubeconfig_content=yaml.safe_dump(access), namespace=NAMESPACE, storage_driver="memory"
            ) as config,
            helm_python.Chart.load(CHART) as chart,
        ):
            texts = config.render(chart, values, name=RELEASE, namespace=NAMESPACE, **how)
        files = (text for name, text in texts.items() if not name.endswith(".txt"))
        return [each for text in files for each in yaml.safe_load_all(text) if each]


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

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
