"""`crofai chat` and `crofai image`, on a real terminal and in a pipe, against a gateway and simulated workers."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster, Process, cluster, connects, wait_for
from tests.conftest import simulated_model
from tests.streams import streams
from tests.terminal import CROFAI, CTRL_C, CTRL_D, CTRL_U, ROOT, TAB, Terminal, crofai, piped

pytestmark = pytest.mark.integration

LONG = "echo " + " ".join(f"w{number}" for number in range(400))
HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b31mred\u202egnp"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    models = {
        "fast": simulated_model(tokens_per_second=500),
        "slow": simulated_model(tokens_per_second=20, capacity=2),
        "pictures": simulated_model("image", tokens_per_second=20),
        "asleep": simulated_model(),
    }
    with cluster(tmp_path_factory.mktemp("terminal"), models) as running:
        running.start_gateway()
        for model in ("fast", "slow", "pictures"):
            running.start_worker(model)
        yield running


@pytest.fixture(scope="module")
def env(running: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's, who has been given an address and a key."""
    return user(running, running.key(), tmp_path_factory.mktemp("user"))


def user(running: Cluster, key: str, folder: Path) -> dict[str, str]:
    names = ("CROFAI_", "NO_COLOR", "TERM", "COLUMNS", "LINES")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return mine | {"CROFAI_URL": running.url, "CROFAI_KEY": key, "CROFAI_DATA_DIR": str(folder)}


def is_free(running: Cluster, model: str = "slow") -> bool:
    told = requests.get(f"{running.url}/v1/models/{model}", timeout=20).json()
    return bool(told["running"] == told["waiting"] == 0)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def of(told: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in told if event["event"] == name]


# Once


def test_an_answer_in_a_pipe_is_the_text_and_nothing_else(env: dict[str, str]) -> None:
    done = piped("chat", "echo four words come back", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "four words come back\n", "")


@pytest.mark.parametrize(("words", "text"), [([], "echo from a pipe"), (["echo", "from a", "-"], "pipe\n")])
def test_standard_input_is_the_question_or_a_part_of_it(env: dict[str, str], words: list[str], text: str) -> None:
    done = piped("chat", *words, env=env, text=text)
    assert (done.returncode, " ".join(done.stdout.split())) == (0, "from a pipe")


def test_on_a_terminal_a_dim_line_of_figures_follows(env: dict[str, str]) -> None:
    with crofai("chat", "echo four words come back", env=env) as terminal:
        assert terminal.end() == 0
    assert re.search(
        r"four words come back\r\n\x1b\[2m\(4 tokens, [\d.]+ tokens/s, first after [\d.]+ s\)\x1b\[0m\r\n$",
        terminal.text,
    )


def test_quiet_leaves_the_figures_out(env: dict[str, str]) -> None:
    with crofai("chat", "--quiet", "echo four words", env=env) as terminal:
        assert terminal.end() == 0
    assert terminal.text == "four words\r\n"


@pytest.mark.parametrize(
    "command", [["chat", "-m", "slow", "echo some words"], ["image", "a cat", "--force", "-o"]]
)
def test_no_color_means_no_escape_sequences(env: dict[str, str], tmp_path: Path, command: list[str]) -> None:
    out = [str(tmp_path / "cat.png")] if command[0] == "image" else []
    with crofai(*command, *out, env=env | {"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
    assert "\x1b" not in terminal.text
    assert "after" in terminal.text


def test_parameters_are_the_apis(env: dict[str, str]) -> None:
    options = ["--max-tokens", "3", "--seed", "1", "--temperature", "0", "--system", "Be brief."]
    done = piped("chat", *options, "echo a b c d", env=env)
    assert (done.returncode, done.stdout) == (0, "a b c\n")
    assert piped("chat", "--stop", "c", "--stop", "\\n", "echo a b c d", env=env).stdout == "a b \n"
    refused = piped("chat", "--temperature", "9", "echo a", env=env)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "temperature" in refused.stderr


def test_an_answer_cannot_control_the_terminal(env: dict[str, str]) -> None:
    shown = "␛]0;pwned␇␛[2J<009B>31mred<202E>gnp"
    assert piped("chat", "-", env=env, text=f"echo {HOSTILE}").stdout == f"{shown}\n"
    with crofai("chat", f"echo {HOSTILE}", env=env) as terminal:
        assert terminal.end() == 0
    assert terminal.text.startswith(f"{shown}\r\n")
    told = piped("chat", "--json", "-", env=env, text=f"echo {HOSTILE}").stdout
    assert not set(told) & set("\x1b\x07\x9b\u202e")
    assert of(events(told), "done")[0]["text"] == HOSTILE, "programs get it as it is"


# For programs


def test_programs_get_an_object_a_line(env: dict[str, str]) -> None:
    done = piped("chat", "--json", "--model", "fast", "echo a b c", env=env)
    told = events(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [event["event"] for event in told if event["event"] != "waiting"] == ["started", *["text"] * 3, "done"]
    assert "".join(event["text"] for event in of(told, "text")) == "a b c"
    end = told[-1]
    assert end["job"] == told[0]["job"]
    assert (end["model"], end["text"], end["finish_reason"], end["reasoning"]) == ("fast", "a b c", "stop", None)
    assert end["usage"]["completion_tokens"] == 3
    assert 0 < end["ttft_seconds"] < 30
    assert end["tokens_per_second"] > 0


def test_programs_are_told_of_failures_too(env: dict[str, str], running: Cluster) -> None:
    for arguments, more, status, code in (
        (["--model", "fats"], {}, 1, "model_not_found"),
        (["--model", "asleep"], {}, 3, "model_unavailable"),
        ([], {"CROFAI_KEY": "sk-crof-wrong"}, 1, "invalid_key"),
        ([], {"CROFAI_URL": "http://127.0.0.1:9"}, 3, None),
    ):
        done = piped("chat", "--json", *arguments, "hi", env=env | more)
        told = events(done.stdout)[-1]
        assert (done.returncode, told["event"], told["code"]) == (status, "error", code)
        assert done.stderr == f"crofai: {told['message']}\n"
    assert piped("chat", "--no-such-option", env=env).returncode == 2


def test_no_question_is_a_mistake_that_is_told(env: dict[str, str]) -> None:
    done = piped("chat", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert 'crofai chat "Why is the sky blue?"' in done.stderr


def test_a_models_name_alone_is_no_question(env: dict[str, str]) -> None:
    done = piped("chat", "Slow", env=env)
    assert (done.returncode, done.stderr) == (
        1,
        "crofai: 'Slow' is a model, not a question. Choose it with: --model Slow\n",
    )


# Stopping


def test_ctrl_c_frees_the_slot(running: Cluster, env: dict[str, str]) -> None:
    with crofai("chat", "--model", "slow", LONG, env=env) as terminal:
        terminal.until("w3")
        wait_for(lambda: not is_free(running), 20, "the worker to say that it works")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert re.search(r"\rcrofai: stopped; the slot is free again, [\d.]+ m?s after Ctrl-C\r\n$", terminal.text)
    wait_for(lambda: is_free(running), 20, "the worker to say so")


def test_programs_are_told_what_was_stopped(running: Cluster, env: dict[str, str]) -> None:
    command = [*CROFAI, "chat", "--json", "--model", "slow", LONG]
    chat = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert chat.stdout
    read = [chat.stdout.readline()]
    while '"w2' not in read[-1] and '" w2' not in read[-1]:
        read.append(chat.stdout.readline())
    chat.send_signal(signal.SIGINT)
    rest, said = chat.communicate(timeout=30)
    told = events("".join(read) + rest)
    assert (chat.returncode, told[-1]["event"]) == (130, "stopped"), said
    assert told[-1]["state"] == "cancelled"
    assert told[-1]["job"] == told[0]["job"]
    assert told[-1]["usage"]["completion_tokens"] >= 3
    assert told[-1]["text"].startswith("w0 w1 w2")
    assert said.startswith("crofai: stopped; ")
    wait_for(lambda: is_free(running), 20, "the slot to be free")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["people", "programs"])
def test_ctrl_c_ends_a_pipeline_and_the_job_too(running: Cluster, env: dict[str, str], options: list[str]) -> None:
    command = [*CROFAI, "chat", *options, "--model", "slow", LONG]
    chat = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert chat.stdout and chat.stderr
    read = ""
    while "w2" not in read:
        read += chat.stdout.read(1)
    wait_for(lambda: not is_free(running), 20, "the worker to say that it works")
    chat.send_signal(signal.SIGSTOP)  # so that the reader is gone first
    chat.stdout.close()
    chat.send_signal(signal.SIGINT)
    chat.send_signal(signal.SIGCONT)
    assert chat.wait(30) == 130
    assert re.fullmatch(r"crofai: stopped; the slot is free again, .* after Ctrl-C\n", chat.stderr.read())
    chat.stderr.close()
    wait_for(lambda: is_free(running), 20, "the slot to be free")


def test_who_waits_is_told_where_and_may_leave(running: Cluster, env: dict[str, str]) -> None:
    with (
        streams(running, "slow", LONG, 4, max_tokens=120),
        crofai("chat", "-m", "slow", "hi", env=env) as terminal,
    ):
        wait_for(lambda: not is_free(running), 10, "the others to begin")
        terminal.until("place ")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert "it had not begun, and took no slot" in terminal.text


# A conversation


def test_a_conversation_goes_on_after_an_answer_is_stopped(running: Cluster, env: dict[str, str]) -> None:
    with crofai("chat", "--model", "slow", env=env) as terminal:
        terminal.until("> ")
        terminal.type(f"{LONG}\r")
        place = terminal.until("w0 w1 w2 w3", after=terminal.until("w399"))
        terminal.type(CTRL_C)
        place = terminal.until("the slot is free again", after=place)
        place = terminal.prompted(after=place)
        terminal.type("echo and on it goes\r")
        place = terminal.until("\rand on it goes\r\n", after=place)
        terminal.prompted(after=place)
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    wait_for(lambda: is_free(running), 20, "the slot to be free")


def test_ctrl_c_twice_leaves(env: dict[str, str]) -> None:
    with crofai("chat", env=env) as terminal:
        place = terminal.until("> ")
        place = terminal.insist(CTRL_C, "Ctrl-C again", after=place)
        place = terminal.until("> ", after=place)
        terminal.insist(CTRL_C, "\n", after=place)
        assert terminal.end() == 130


@pytest.mark.parametrize(
    "typed",
    [
        "echo one\\\rtwo\\\rthree\r",
        '"""echo one\rtwo\rthree"""\r',
        '"""echo one\rtwo\rthree\r"""\r',
        "\x1b[200~echo one\ntwo\nthree\x1b[201~\r",
    ],
    ids=["backslash", "quotes", "quotes on a line of their own", "pasted"],
)
def test_a_message_may_have_several_lines(env: dict[str, str], tmp_path: Path, typed: str) -> None:
    file = tmp_path / "talk.json"
    with crofai("chat", env=env) as terminal:
        terminal.until("> ")
        terminal.type(typed)
        place = terminal.until("first after")
        terminal.until("> ", after=place)
        terminal.type(f"/save {file}\r")
        terminal.until("written")
        terminal.type("/quit\r")
        assert terminal.end() == 0
    question, answer = json.loads(file.read_text())
    assert (question["content"], answer["content"]) == ("echo one\ntwo\nthree", "one\ntwo\nthree")


def test_commands(running: Cluster, env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "talk.md"

    def say(text: str, told: str) -> None:
        nonlocal place
        terminal.type(f"{text}\r")
        place = terminal.until(told, after=place)
        place = terminal.until("> ", after=place)

    with crofai("chat", "--system", "Be brief.", env=env) as terminal:
        place = terminal.until("> ")
        say("/help", "/save FILE")
        say("/model", "this is fast; up: fast, slow")
        say("/model SLOW", "now slow answers")
        say("/model sloww", "Did you mean 'slow'?")
        say("/sytem x", "Did you mean /system?")
        say("echo hello", "\rhello\r\n")
        say(f"/save {file}", "written")
        say(f"/save {file}", "is there already")
        say("/save ~no.such.user/x", "~no.such.user/x: there is no user of this name")
        say("/clear", "forgotten")
        terminal.type("/quit\r")
        assert terminal.end() == 0
    assert file.read_text() == "## system\n\nBe brief.\n\n## user\n\necho hello\n\n## assistant\n\nhello\n"


def test_images_of_a_conversation_are_named_by_their_words(env: dict[str, str], tmp_path: Path) -> None:
    with crofai("chat", env=env, folder=tmp_path) as terminal:
        place = terminal.until("> ")
        for name in ("a-red-cat.png", "a-red-cat-2.png"):
            terminal.type("/image A red cat!\r")
            place = terminal.until(f"{name}\r\n", after=place)
            place = terminal.until("> ", after=place)
            assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        terminal.type("/image\r")
        terminal.until("/image: needs words", after=place)
        terminal.type("/quit\r")
        assert terminal.end() == 0


# Coming back


class Restarted:
    """A gateway that is killed, and started again where it was."""

    def __init__(self, running: Cluster) -> None:
        self._running = running
        self._port = int(running.url.rsplit(":", 1)[1])

    def start(self) -> Process:
        gateway = self._running.spawn_gateway(self._port)
        wait_for(lambda: connects(self._port), 30, "the gateway to listen", gateway)
        return gateway


def test_an_answer_goes_on_after_the_gateway_was_killed(tmp_path: Path) -> None:
    text = " ".join(f"w{number}" for number in range(300))
    with cluster(tmp_path / "cluster", {"m": simulated_model(tokens_per_second=50)}) as running:
        gateway = running.start_gateway()
        again = Restarted(running)
        running.start_worker("m")
        env = user(running, running.key(), tmp_path)
        with crofai("chat", f"echo {text}", env=env | {"NO_COLOR": "1"}) as terminal:
            terminal.until("w20")
            gateway.signal(signal.SIGKILL)
            terminal.until("the connection is lost; trying again, for 60 s at most")
            gateway = again.start()
            assert terminal.end() == 0
        answer = re.sub(r"\r\nthe connection is lost[^\n]*\n", "", terminal.text)
        answer = re.sub(r"\r(trying again|connected again)[^\r]*", "", answer)
        answer = re.sub(r"\r +\r", "", answer)
        assert answer.startswith(f"{text}\r\n")
        assert "tokens/s" not in terminal.text, "what comes in one go tells nothing of the speed"

        command = [*CROFAI, "chat", "--json", f"echo {text}"]
        chat = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert chat.stdout
        read = [chat.stdout.readline()]
        while "w20" not in read[-1]:
            read.append(chat.stdout.readline())
        gateway.signal(signal.SIGKILL)
        while '"lost"' not in read[-1]:
            read.append(chat.stdout.readline())
        again.start()
        rest, _ = chat.communicate(timeout=60)
        told = events("".join(read) + rest)
        assert (chat.returncode, told[-1]["event"], told[-1]["text"]) == (0, "done", text)
        assert len(of(told, "back")) == 1


def test_another_terminal_goes_on_with_what_was_cut_off(env: dict[str, str]) -> None:
    with crofai("chat", "--model", "slow", LONG, "--max-tokens", "120", env=env) as terminal:
        terminal.until("w3")
        terminal.signal(signal.SIGTERM)
        assert terminal.end() == 128 + signal.SIGTERM
    found = re.search(r"crofai chat --resume (job_\w+)", terminal.text)
    assert found, terminal.text
    done = piped("chat", "--resume", found[1], env=env)
    assert (done.returncode, done.stdout) == (0, " ".join(f"w{number}" for number in range(120)) + "\n")
    wrong = piped("image", "--resume", found[1], env=env)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "crofai chat --resume" in wrong.stderr


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "echo four words come back"}]}),
        ("/v1/completions", {"prompt": "echo four words come back"}),
    ],
)
def test_what_was_asked_for_as_a_whole_can_be_resumed(
    running: Cluster, env: dict[str, str], path: str, asked: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {env['CROFAI_KEY']}"}
    answer = requests.post(running.url + path, json={"model": "fast"} | asked, headers=headers, timeout=30)
    done = piped("chat", "--resume", answer.headers["X-Job-Id"], env=env)
    assert (done.returncode, done.stdout) == (0, "four words come back\n")


def test_a_reader_that_leaves_ends_the_job(running: Cluster, env: dict[str, str]) -> None:
    command = [*CROFAI, "chat", "--model", "slow", LONG]
    chat = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert chat.stdout and chat.stderr
    assert chat.stdout.read(2) == "w0"
    chat.stdout.close()
    assert chat.wait(30) == 1
    assert chat.stderr.read() == ""
    chat.stderr.close()
    wait_for(lambda: is_free(running), 20, "the slot to be free")


# Images


def test_an_image_goes_to_a_file(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "light.png"
    with crofai("image", "a lighthouse", "--out", str(out), "--steps", "5", env=env) as terminal:
        terminal.until("step 2 of 5 [")
        assert terminal.end() == 0
    assert f"{out}\r\n" in terminal.text
    assert out.read_bytes().startswith(b"\x89PNG\r\n")
    again = piped("image", "a lighthouse", "--out", str(out), env=env)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"crofai: {out}: is there already; give another name, or --force\n"
    forced = piped("image", "a lighthouse", "--out", str(out), "--size", "128x64", "--force", env=env)
    assert (forced.returncode, forced.stdout) == (0, f"{out}\n")
    assert out.read_bytes()[16:24] == (128).to_bytes(4, "big") + (64).to_bytes(4, "big")


def test_several_images_have_numbers_and_programs_are_told_of_each(env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "cat.png"
    command = ["image", "a", "cat", "-n", "2", "--seed", "7", "--json", "--out", str(out)]
    done = piped(*command, env=env)
    told = events(done.stdout)
    paths = [str(tmp_path / name) for name in ("cat-1.png", "cat-2.png")]
    assert (done.returncode, done.stderr) == (0, "")
    assert [(image["path"], image["seed"], image["size"]) for image in of(told, "image")] == [
        (paths[0], 7, "64x64"),
        (paths[1], 8, "64x64"),
    ]
    assert [step["step"] for step in of(told, "progress")] == list(range(1, 9))
    assert (told[-1]["event"], told[-1]["paths"]) == ("done", paths)
    assert told[-1]["usage"]["image_steps"] == 16
    refused = piped(*command, env=env)
    assert (refused.returncode, events(refused.stdout)[-1]["event"]) == (1, "error")


def test_ctrl_c_stops_an_image(running: Cluster, env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "never.png"
    with crofai("image", "a cat", "--steps", "1000", "--out", str(out), env=env) as terminal:
        terminal.until("step 2 of 1000")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert "the slot is free again" in terminal.text
    assert not out.exists()
    wait_for(lambda: is_free(running, "pictures"), 20, "the slot to be free")


# Completion


def shim(folder: Path, env: dict[str, str]) -> dict[str, str]:
    """`crofai` as it is installed, and a home that is empty."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "crofai"
    program.write_text(f"#!{sys.executable}\nfrom gateway.cli.__main__ import main\n\nmain()\n")
    program.chmod(0o755)
    path = f"{program.parent}:{env['PATH']}"
    return env | {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "NO_COLOR": "1"}


def test_bash_completes_names_of_models(env: dict[str, str], tmp_path: Path) -> None:
    home = shim(tmp_path, env)
    install = ["bash", "-c", "crofai --install-completion; exit $?"]
    installed = subprocess.run(install, env=home, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (installed.returncode, (tmp_path / ".bashrc").exists()) == (0, True), installed.stderr
    with (tmp_path / ".bashrc").open("a") as file:
        file.write("PS1='ready$ '\n")
    with Terminal("bash", "--noprofile", "-i", env=home) as terminal:
        place = terminal.until("ready$ ")
        # A shell waits for names for a second, in which a busy machine may have none.
        terminal.type("crofai chat --model fa")
        place = terminal.insist(TAB, "--model fast ", after=place, every=10)
        terminal.type(f"{CTRL_U}crofai image --model pi")
        place = terminal.insist(TAB, "--model pictures ", after=place, every=10)
        terminal.type(f"{CTRL_U}CROFAI_URL=http://127.0.0.1:9 crofai chat --mod{TAB}")
        terminal.until("--model ", after=place)
        terminal.type(f"{CTRL_U}exit\r")
        terminal.end()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_script_and_what_fits(env: dict[str, str], tmp_path: Path, shell: str) -> None:
    home = shim(tmp_path, env)

    def ask(*command: str, **more: str) -> str:
        done = subprocess.run(
            ["crofai", *command], env=home | more, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    script = ask("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert f"_CROFAI_COMPLETE=complete_{shell}" in script
    line = "crofai chat --model s"
    asked = {
        "_CROFAI_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": line.replace(" ", "\n") if shell == "bash" else line,
        "COMP_CWORD": "3",
    }
    found = re.compile(r"\b(fast|slow|pictures|asleep)\b").findall
    # A shell waits for names for a second, in which a busy machine may have none.
    wait_for(lambda: found(ask(**asked)) == ["slow"], 60, "the names that fit")
    away = ask(**asked, CROFAI_URL="http://127.0.0.1:9")
    assert "slow" not in away
