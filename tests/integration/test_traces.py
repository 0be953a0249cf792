"""One request's trace: all eight hops, from gateway and worker, under the span that its client began."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import socketio

from tests.cluster import Cluster, cluster, wait_for
from tests.collector import Collector, Span, collector
from tests.conftest import simulated_model

pytestmark = pytest.mark.integration

HOPS = ["1 api", "2 admission", "3 enqueue", "4 task", "5 engine", "6 job log", "7 relay", "8 reply"]
CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BODY = {"model": "m", "messages": [{"role": "user", "content": "echo a b c d"}]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Collector]]:
    with collector() as found:
        models = {"m": simulated_model(tokens_per_second=100)}
        # Spans are sent in batches, every some seconds: here, sooner.
        with cluster(tmp_path_factory.mktemp("traces"), models, otlp_endpoint=found.url) as running:
            running.env["OTEL_BSP_SCHEDULE_DELAY"] = "100"
            running.start_gateway()
            running.start_worker("m")
            yield running, found


def spans_of(found: Collector, trace: str, count: int) -> dict[str, Span]:
    wait_for(lambda: sum(span.trace == trace for span in found.spans) >= count, 15, f"{count} spans of a trace")
    return {span.name: span for span in found.spans if span.trace == trace}


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_has_a_span_for_each_hop(running: tuple[Cluster, Collector], stream: bool) -> None:
    system, found = running
    trace = CLIENT.split("-")[1][:-1] + str(int(stream))
    parent = CLIENT.split("-")[2]
    headers = {"X-API-Key": system.key(), "traceparent": f"00-{trace}-{parent}-01", "X-Request-Id": "mine"}
    begun = time.time()
    url = f"{system.url}/v1/chat/completions"
    response = requests.post(url, json=BODY | {"stream": stream}, headers=headers, timeout=20)
    assert response.ok
    spans = spans_of(found, trace, 9)
    root = spans.pop("chat m")
    assert sorted(spans) == HOPS
    assert (root.parent, root.service, root.failed) == (parent, "crofai-gateway", False)
    assert root.attributes["crofai.request.id"] == "mine"
    assert root.attributes["crofai.job.id"] == response.headers["X-Job-Id"]
    assert root.attributes["gen_ai.usage.output_tokens"] == "4"
    for number, name in enumerate(HOPS, 1):
        span = spans[name]
        assert span.parent == root.id
        assert span.service == ("crofai-worker" if number in (4, 5, 6) else "crofai-gateway")
        assert begun <= span.begun <= span.ended <= time.time()
    order = [spans[name] for name in HOPS[:5]]
    assert [span.begun for span in order] == sorted(span.begun for span in order)
    assert spans["5 engine"].ended - spans["5 engine"].begun >= 0.03, "four words of a hundred a second"
    assert spans["8 reply"].ended >= spans["5 engine"].ended


def test_a_request_that_is_refused_ends_its_trace(running: tuple[Cluster, Collector]) -> None:
    system, found = running
    trace = "a" * 32
    headers = {"X-API-Key": system.key(), "traceparent": f"00-{trace}-{'b' * 16}-01", "X-Request-Timeout": "3"}
    body = BODY | {"messages": [{"role": "user", "content": "echo " + "a " * 1000}]}
    url = f"{system.url}/v1/chat/completions"
    response = requests.post(url, json=body, headers=headers, timeout=20)
    assert response.status_code == 504
    root = spans_of(found, trace, 9)["chat m"]
    assert root.failed
    assert root.attributes["error.type"] == "timeout"


def test_a_prompt_over_a_socket_has_a_trace_of_its_own(running: tuple[Cluster, Collector]) -> None:
    system, found = running
    known = {span.trace for span in found.spans}
    with socketio.SimpleClient() as client:
        client.connect(system.url)
        client.emit("prompt", {"model": "m", "context": BODY["messages"], "token": system.key()})
        while client.receive(timeout=10) != ["chunk", "ENDOFMESSAGE"]:
            pass
    wait_for(lambda: sum(span.trace not in known for span in found.spans) == 9, 15, "a trace")
    (root,) = (span for span in found.spans if span.trace not in known and span.name == "chat m")
    assert root.parent == ""


def test_nothing_depends_on_the_collector(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model()}, otlp_endpoint="http://127.0.0.1:1") as running:
        running.start_gateway()
        worker = running.start_worker("m")
        headers = {"X-API-Key": running.key()}
        url = f"{running.url}/v1/chat/completions"
        assert requests.post(url, json=BODY, headers=headers, timeout=20).ok
        assert worker.stop(20) == 0
