"""What gateways and workers measure, against what happened; and how they say that they are well."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from shared import redis_keys as keys
from tests.cluster import Cluster, Process, cluster, connects, free_port, wait_for
from tests.conftest import simulated_model
from tests.integration.test_keys import found as rows_of
from tests.metrics import scrape, value
from tests.streams import streams

pytestmark = pytest.mark.integration

BODY = {"model": "fast", "messages": [{"role": "user", "content": "echo a b c d"}]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Process, Process]]:
    """A gateway and workers that tell; the gateway, and the worker of slow chats."""
    models = {
        "fast": simulated_model(tokens_per_second=500),
        "slow": simulated_model(tokens_per_second=20, capacity=2),
        "pictures": simulated_model("image", tokens_per_second=500),
        "cold": simulated_model(),
    }
    with cluster(tmp_path_factory.mktemp("metrics"), models) as running:
        running.measured = True
        gateway = running.start_gateway()
        for model in ("fast", "pictures"):
            running.start_worker(model)
        yield running, gateway, running.start_worker("slow")


def post(running: Cluster, path: str = "/v1/chat/completions", key: str | None = None, **body: object) -> int:
    headers = {"X-API-Key": key or running.key()}
    return requests.post(f"{running.url}{path}", json=BODY | body, headers=headers, timeout=20).status_code


def test_every_job_is_counted_once_it_has_ended(running: tuple[Cluster, Process, Process]) -> None:
    system, gateway, _ = running
    before = scrape(gateway.metrics)
    for _ in range(3):
        assert post(system, stream=True) == 200
    image = {"model": "pictures", "prompt": "a", "size": "64x64"}
    headers = {"X-API-Key": system.key()}
    assert requests.post(f"{system.url}/v1/images/generations", json=image, headers=headers, timeout=20).ok

    def more(name: str, **labels: str) -> float:
        return value(scrape(gateway.metrics), name, **labels) - value(before, name, **labels)

    done = {"model": "fast", "tier": "premium", "state": "succeeded"}
    wait_for(lambda: more("crofai_jobs_total", **done) == 3, 10, "three jobs to be counted")
    wait_for(lambda: more("crofai_image_steps_total", model="pictures") == 8, 10, "an image to be counted")
    chat = {"gen_ai_request_model": "fast", "gen_ai_operation_name": "chat"}
    for name in ("request_duration_seconds", "time_to_first_token_seconds", "time_per_output_token_seconds"):
        assert more(f"gen_ai_server_{name}_count", **chat) == 3
        assert 0 < more(f"gen_ai_server_{name}_sum", **chat) < 3
    assert post(system) == 200
    wait_for(lambda: more("crofai_jobs_total", **done) == 4, 10, "a whole answer to be counted")
    assert more("gen_ai_server_time_to_first_token_seconds_count", **chat) == 3, "it has no first token"
    assert more("gen_ai_client_token_usage_sum", **chat, gen_ai_token_type="output") == 4 * 4
    assert more("crofai_queue_wait_seconds_count", model="fast", tier="premium") == 4
    assert more("crofai_units_total", model="fast") == more("gen_ai_client_token_usage_sum", **chat)


def test_refusals_are_counted_by_their_codes(running: tuple[Cluster, Process, Process]) -> None:
    system, gateway, _ = running
    before = scrape(gateway.metrics)
    assert post(system, key="sk-crof-wrong") == 401
    assert post(system, path="/v1/nothing") == 404
    assert post(system, temperature="warm") == 400
    found = scrape(gateway.metrics)
    for reason, count in (("invalid_key", 1), ("not_found", 1), ("invalid_request", 1)):
        more = [value(each, "crofai_refusals_total", reason=reason) for each in (before, found)]
        assert more[1] - more[0] == count, found["crofai_refusals_total"]


def test_the_pools_are_told_as_they_are(running: tuple[Cluster, Process, Process]) -> None:
    system, gateway, worker = running
    client = system.valkey.client
    with streams(system, "slow", "echo " + " ".join(["a"] * 80), 4):
        wait_for(lambda: client.zcard(keys.open_jobs("slow")) == 4, 10, "four jobs")
        wait_for(lambda: value(scrape(worker.metrics), "crofai_worker_jobs") == 2, 10, "two of them to run")
        found = scrape(gateway.metrics)
        assert value(found, "crofai_open_jobs", model="slow") == 4
        assert value(found, "crofai_waiting_jobs", model="slow") == 2
        assert value(found, "crofai_workers", model="slow", state="ready") == 1
        assert value(found, "crofai_workers", model="cold") == 0
    wait_for(lambda: value(scrape(gateway.metrics), "crofai_open_jobs", model="slow") == 0, 10, "their ends")
    told = scrape(worker.metrics)
    assert value(told, "crofai_tokens_total") == 4 * 80
    assert value(told, "crofai_job_attempts_total", verdict="run") == 4
    assert value(told, "crofai_worker_capacity") == 2
    assert value(told, "crofai_log_lag_seconds") < 5
    assert value(told, "process_resident_memory_bytes") > 1e6


def test_a_lost_redis_is_told(running: tuple[Cluster, Process, Process]) -> None:
    system, gateway, _ = running
    system.valkey.process.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: value(scrape(gateway.metrics), "crofai_redis_up") == 0, 20, "Redis to be missed")
        for path in ("live", "ready"):
            assert requests.get(f"{system.url}/health/{path}", timeout=5).ok, "it tells clients when to come again"
    finally:
        system.valkey.process.signal(signal.SIGCONT)
    wait_for(lambda: value(scrape(gateway.metrics), "crofai_redis_up") == 1, 20, "Redis to be back")


def test_a_worker_says_when_it_takes_jobs(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model(startup=5, tokens_per_second=20)}) as running:
        running.measured = True
        running.start_gateway()
        worker = running.spawn_worker("m")

        def status(path: str) -> int:
            return requests.get(f"{worker.metrics}/{path}", timeout=20).status_code

        wait_for(lambda: connects(int(worker.metrics.rpartition(":")[2])), 20, "it to listen", worker)
        assert (status("live"), status("ready"), status("else")) == (200, 503, 404)
        wait_for(lambda: status("ready") == 200, 20, "it to be ready", worker)
        with streams(running, "m", "echo " + " ".join(["a"] * 100), 1) as opened:
            wait_for(lambda: len(opened[0].texts) > 2, 10, "an answer to begin")
            worker.signal(signal.SIGTERM)
            wait_for(lambda: status("ready") == 503, 10, "it to drain", worker)
            assert status("live") == 200
        assert worker.wait(20) == 0


def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    with cluster(tmp_path, {"m": simulated_model()}) as running:
        taken = running.valkey.port
        running.env["CROFAI_METRICS_PORT"] = str(taken)
        for process in (running.spawn_gateway(free_port()), running.spawn_worker("m")):
            assert process.wait(20) == 1
            said = f"cannot listen on 127.0.0.1:{taken} for metrics: Address already in use; choose another port"
            assert said in process.log.read_text()


def test_no_limits_hold_for_canaries(tmp_path: Path) -> None:
    tiers = tmp_path / "tiers.yaml"
    tiers.write_text("tiers: {premium: {limits: {requests_per_minute: 1, requests_per_day: 1}}}")
    models = {"m": simulated_model(tokens_per_second=500)}
    with cluster(tmp_path, models, tiers_file=tiers, canary_interval=0.3) as running:
        running.measured = True
        gateway = running.start_gateway()
        running.start_worker("m")
        done = {"model": "m", "state": "succeeded"}
        wait_for(lambda: value(scrape(gateway.metrics), "crofai_jobs_total", **done) >= 3, 20, "some canaries")
        assert value(scrape(gateway.metrics), "crofai_canary_success", model="m") == 1


def test_canaries_tell_what_does_not_answer(tmp_path: Path) -> None:
    models = {
        "well": simulated_model(tokens_per_second=500),
        "pictures": simulated_model("image", tokens_per_second=500),
        "ill": simulated_model(tokens_per_second=500, fail_after=1),
        "cold": simulated_model(),
    }
    with cluster(tmp_path, models, canary_interval=0.5) as running:
        running.measured = True
        gateways = [running.start_gateway() for _ in range(2)]
        for model in ("well", "pictures", "ill"):
            running.start_worker(model)

        def told(gateway: Process) -> dict[str, float]:
            found = scrape(gateway.metrics)
            return {dict(labels)["model"]: good for labels, good in found.get("crofai_canary_success", {}).items()}

        for gateway in gateways:
            wait_for(lambda gateway=gateway: len(told(gateway)) == 3, 20, "canaries of all that have workers")
            assert told(gateway) == {"well": 1, "pictures": 1, "ill": 0}
        client = running.valkey.client
        assert not list(client.scan_iter("*cold*")), "they start no workers"
        assert not list(client.scan_iter("open:*")), "they keep none"
        assert {"canary"} <= {row.name for row in rows_of(running)}
