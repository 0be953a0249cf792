"""`crofai up` with simulated engines: what it starts, keeps running, says, and stops."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from gateway.cli.valkey import EmbeddedValkey
from tests.cluster import ROOT, free_port, wait_for

pytestmark = pytest.mark.integration

READY = 60  # seconds; it takes about five
CROFAI = [sys.executable, "-m", "gateway.cli"]


class Up:
    """A `crofai up` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.env = environment(folder, **variables)
        self.data = folder / "data"
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            command = [
                *CROFAI,
                "up",
                "--engine",
                "simulated",
                "--port",
                "0",
                *(arguments or ("--model", "llama3")),
            ]
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env=self.env, cwd=ROOT, start_new_session=True
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def ready(self) -> "Up":
        wait_for(lambda: "Ctrl-C stops it" in self.out or self.process.poll() is not None, READY, "crofai up")
        assert self.process.poll() is None, self.err
        return self

    @property
    def url(self) -> str:
        return re.findall(r"http://[\d.:]+", self.out)[0]

    @property
    def key(self) -> str:
        return re.findall(r"sk-crof-[\w-]+", self.out)[0]

    def ask(self, text: str, key: str = "") -> str:
        """An answer through the public API."""
        body = {"model": "llama3", "messages": [{"role": "user", "content": text}]}
        headers = {"Authorization": f"Bearer {key or self.key}"}
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=30)
        return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self, name: str) -> None:
        """Kill the process whose command line, or title, has this word."""
        next(p for p in self.family() if name in " ".join(p.cmdline())).kill()

    def crofai(self, *arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Another command on the same data folder."""
        return subprocess.run(
            [*CROFAI, *arguments], env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=60, input=text
        )

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            left = self.family()
            self.process.kill()
            self.process.wait(5)
            psutil.wait_procs(left, timeout=10)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("CROFAI_")}
    return mine | {"CROFAI_DATA_DIR": str(folder / "data"), "CROFAI_DRAIN_TIMEOUT": "5"} | variables


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up"))
    try:
        yield up.ready()
    finally:
        up.clean_up()


def test_the_printed_command_works_as_it_stands(up: Up) -> None:
    command = re.search(r"curl -N .*?}'", up.out, re.DOTALL)
    assert command
    answer = subprocess.run(["bash", "-c", command[0]], capture_output=True, text=True, timeout=30)
    events = answer.stdout.split("\n\n")
    assert json.loads(events[0].removeprefix("data: "))["object"] == "chat.completion.chunk"
    assert events[-2] == "data: [DONE]"


def test_it_says_how_long_each_part_took(up: Up) -> None:
    assert re.search(r"Started in [\d.]+ s: Valkey [\d.]+ s, gateway [\d.]+ s, llama3 [\d.]+ s\.", up.out)


def test_models_finds_it_by_itself(up: Up) -> None:
    listed = up.crofai("models")
    assert listed.returncode == 0
    assert re.search(r"^llama3 +chat +ready +1 ", listed.stdout, re.MULTILINE)
    assert {"llama3": 1, "tinyllama": 0}.items() <= {
        model["id"]: model["workers"] for model in json.loads(up.crofai("models", "--json").stdout)["data"]
    }.items()


def test_chat_uses_the_demo_key(up: Up) -> None:
    once = up.crofai("chat", "--model", "llama3", "echo four words come back")
    assert (once.returncode, once.stdout, once.stderr) == (0, "four words come back\n", "")


def test_an_unknown_model_is_refused_in_one_line(up: Up) -> None:
    refused = up.crofai("chat", "--model", "lama3", "hi")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "'llama3'" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_revoked_key_is_refused(up: Up) -> None:
    key = up.crofai("keys", "create", "ann").stdout.strip()
    assert up.crofai("chat", "--key", key, "echo hi").stdout == "hi\n"
    up.crofai("keys", "revoke", "ann")
    wait_for(lambda: up.crofai("chat", "--key", key, "echo hi").returncode == 1, 10, "a refusal")


def test_a_second_one_is_told_of_the_first(up: Up) -> None:
    second = up.crofai("up", "--engine", "simulated", "--model", "llama3", "--port", "0")
    assert second.returncode == 1
    assert f"process {up.process.pid}, {up.url}" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_taken_port_is_said_before_anything_starts(up: Up, tmp_path: Path) -> None:
    port = up.url.rpartition(":")[2]
    env = up.env | {"CROFAI_DATA_DIR": str(tmp_path)}
    refused = subprocess.run(
        [*CROFAI, "up", "--engine", "simulated", "--port", port], env=env, cwd=ROOT, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_one_more_worker_joins_it(up: Up) -> None:
    worker = subprocess.Popen(
        [*CROFAI, "worker", "--model", "tinyllama", "--engine", "simulated"],
        env=up.env,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: "tinyllama" in ready_models(up), READY, "the worker to be ready")
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)


def test_a_killed_worker_is_started_again(up: Up) -> None:
    up.kill("-m workers")
    wait_for(lambda: up.err.count("llama3  ready after") == 2, READY, "the worker to be ready again")
    _, _, since = up.err.partition("llama3 was killed by SIGKILL")
    assert "llama3  ready after" in since  # and not at the moment of its end
    assert up.ask("echo still here") == "still here"


def test_a_killed_gateway_is_started_again(up: Up) -> None:
    up.kill("-m gateway")
    wait_for(lambda: "gateway was killed" in up.err and answers(up.url), READY, "the gateway to be back")
    assert up.ask("echo still here") == "still here"


def test_a_killed_valkey_is_started_again_with_its_data(up: Up) -> None:
    store(up).set("kept", "yes")
    # Its file is written every second.
    wait_for(lambda: store(up).execute_command("WAITAOF", 1, 0, 5000), 10, "the data to be on disk")
    up.kill("valkey-server")
    wait_for(lambda: "valkey was killed" in up.err and pings(store(up)), READY, "Valkey to be back")
    assert store(up).get("kept") == b"yes"
    wait_for(lambda: answers(up.url), READY, "the gateway to find it")
    assert up.ask("echo still here") == "still here"


def test_stopping_ends_everything_in_order_and_the_next_start_finds_it_all(tmp_path: Path) -> None:
    up = Up(tmp_path, "--model", "llama3", "--model", "tinyllama").ready()
    try:
        key, family = up.key, up.family()
        assert len(family) >= 5  # two workers, the gateway, Valkey and the watchdog
        store(up).lpush("kept", "job")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(up.ask, "echo" + " word" * 200)
            wait_for(lambda: running_jobs(up), 10, "the job to run")
            assert up.stop() == 0
            # It took some seconds more: the worker drained while the gateway and Valkey were still there.
            assert answer.result(1).split() == ["word"] * 200
    finally:
        up.clean_up()
    assert not any(p.is_running() for p in family)
    assert up.err.endswith("crofai    | stopped\n")

    again = Up(tmp_path).ready()
    try:
        assert again.key == key
        assert store(again).lrange("kept", 0, -1) == [b"job"]
        assert again.stop(signal.SIGTERM) == 0
    finally:
        again.clean_up()


def test_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    up = Up(tmp_path).ready()
    family = up.family()
    up.process.kill()
    up.process.wait(5)
    gone, left = psutil.wait_procs(family, timeout=15)
    assert not left
    assert len(gone) == len(family)


def test_ctrl_c_while_starting_stops_what_has_started(tmp_path: Path) -> None:
    up = Up(tmp_path)
    try:
        wait_for(lambda: "gateway   |" in up.err or (up.data / "logs" / "gateway.log").exists(), READY, "a start")
        family = up.family()
        assert up.stop() == 0
        assert not any(p.is_running() for p in family)
    finally:
        up.clean_up()


def test_a_second_ctrl_c_waits_for_no_job(tmp_path: Path) -> None:
    up = Up(tmp_path, CROFAI_DRAIN_TIMEOUT="60").ready()
    try:
        family = up.family()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(up.ask, "echo" + " word" * 1000)
            wait_for(lambda: running_jobs(up), 10, "the job to run")
            up.process.send_signal(signal.SIGINT)
            wait_for(lambda: "stopping: jobs may finish in 60 s" in up.err, 10, "it to stop")
            up.process.send_signal(signal.SIGINT)
            assert up.process.wait(15) == 0
            assert isinstance(answer.exception(15), httpx.HTTPError)
    finally:
        up.clean_up()
    assert not any(p.is_running() for p in family)


def test_it_needs_no_terminal_at_all(tmp_path: Path) -> None:
    """Started with stdin, stdout and stderr closed, as by some service managers, and stopped with SIGHUP."""
    port, env = free_port(), environment(tmp_path)
    command = [*CROFAI, "up", "--engine", "simulated", "--model", "llama3", "--port", str(port)]
    with subprocess.Popen(["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *command], env=env, cwd=ROOT) as up:
        try:
            log = tmp_path / "data" / "logs" / "llama3.log"
            wait_for(lambda: log.exists() and "is ready" in log.read_text(), READY, "the worker")
            wait_for(lambda: answers(f"http://127.0.0.1:{port}"), READY, "the gateway")
            family = psutil.Process(up.pid).children(recursive=True)
            up.send_signal(signal.SIGHUP)
            assert up.wait(30) == 0
        finally:
            up.kill()
    assert not any(p.is_running() for p in family)


def test_a_worker_that_cannot_start_ends_it_all_with_its_last_lines(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.yaml"
    catalogue.write_text(
        "models: {llama3: {engine: simulated, weights: none, kind: chat, engine_args: {capacity: -1}}}"
    )
    up = Up(tmp_path, CROFAI_MODELS_FILE=str(catalogue))
    try:
        assert up.process.wait(60) == 1
    finally:
        up.clean_up()
    assert "llama3 cannot be started: ended with status 1, 3 times in a row" in up.err
    assert "capacity" in up.err.partition("Its last lines:")[2]
    assert "Traceback" not in up.err.partition("Its last lines:")[2]
    assert up.out == ""


def test_a_redis_of_the_operator_is_used(tmp_path: Path, valkey: "redis.Redis") -> None:
    port = valkey.connection_pool.connection_kwargs["port"]
    up = Up(tmp_path, CROFAI_REDIS_URL=f"redis://127.0.0.1:{port}/0").ready()
    try:
        assert up.ask("echo hello") == "hello"
        assert valkey.exists("workers")
        assert not (up.data / "valkey").exists()
        assert up.stop() == 0
        assert valkey.ping()
    finally:
        up.clean_up()


def test_a_redis_that_does_not_answer_is_said_in_one_line(tmp_path: Path) -> None:
    port = free_port()
    up = Up(tmp_path, CROFAI_REDIS_URL=f"redis://127.0.0.1:{port}/0")
    assert up.process.wait(30) == 1
    assert f"no Redis or Valkey answers at 127.0.0.1:{port}" in up.err
    assert "Traceback" not in up.err


def test_a_valkey_left_by_an_earlier_run_is_ended(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "data")
    left = subprocess.Popen(list(server.service().command), stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis.from_url(server.url)
        wait_for(lambda: pings(client), 10, "Valkey")
        client.lpush("kept", "job")
        up = Up(tmp_path).ready()
        try:
            assert left.wait(20) == 0
            assert "ended a Valkey that an earlier run had left" in up.err
            assert store(up).lrange("kept", 0, -1) == [b"job"]
        finally:
            up.clean_up()
    finally:
        left.kill()
        left.wait(5)


def store(up: Up) -> "redis.Redis":
    """A client of its Valkey."""
    return redis.Redis(port=int((up.data / "valkey" / "port").read_text()))


def ready_models(up: Up) -> set[str]:
    return {model["id"] for model in models(up) if model["state"] == "ready"}


def running_jobs(up: Up) -> int:
    return sum(model["running"] for model in models(up))


def models(up: Up) -> list[dict[str, Any]]:
    return list(httpx.get(f"{up.url}/v1/models", timeout=20).json()["data"])


def refuses(up: Up, key: str) -> bool:
    try:
        up.ask("echo hi", key)
    except httpx.HTTPStatusError as error:
        return error.response.status_code == 401
    return False


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=2).is_success
    return False


def pings(client: "redis.Redis") -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False
