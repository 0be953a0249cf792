"""`crofai models` and `crofai chat` against a server that says what the test wants."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.chat import Stopwatch
from gateway.cli.main import app

runner = CliRunner()

LLAMA = {"id": "llama3", "kind": "chat", "state": "ready", "workers": 2, "waiting": 5, "tokens_per_second": 12.5}
COLD = {"id": "cold1", "kind": "image", "state": "cold", "workers": 0, "waiting": 0, "tokens_per_second": 0.0}


class Server:
    """Answers every request with `status` and `body`, and keeps the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.requests: list[tuple[str, str | None, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                server.requests.append((self.path, self.headers["Authorization"], body))
                self.send_response(server.status)
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=[0.01], daemon=True).start()

    def says(self, *texts: str, usage: int | None = None) -> None:
        """Have it stream a chat answer."""
        events: list[Any] = [{"choices": [{"delta": {"content": text}}]} for text in texts]
        events.append({"choices": [], "usage": {"completion_tokens": usage} if usage else None})
        self.body = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events) + b"data: [DONE]\n\n"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROFAI_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CROFAI_KEY", raising=False)


def models(server: Server, *arguments: str) -> Result:
    return runner.invoke(app, ["models", "--url", server.url, *arguments])


def chat(server: Server, *arguments: str, typed: str | None = None) -> Result:
    command = ["chat", "llama3", "--url", server.url, "--key", "sk-crof-x", *arguments]
    return runner.invoke(app, command, input=typed)


def test_models_lists_those_with_workers_first(server: Server) -> None:
    server.body = json.dumps({"object": "list", "data": [COLD, LLAMA]}).encode()
    lines = models(server).stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "state", "workers", "waiting", "tokens/s"]
    assert lines[1].split() == ["llama3", "chat", "ready", "2", "5", "12.5"]
    assert lines[2].split()[0] == "cold1"


def test_models_as_json_is_the_servers_answer(server: Server) -> None:
    answer = {"object": "list", "data": [COLD, LLAMA]}
    server.body = json.dumps(answer).encode()
    assert json.loads(models(server, "--json").stdout) == answer


@pytest.mark.parametrize(
    "command", [["models"], ["chat", "llama3", "--once", "hi"], ["accounts"], ["keys"]], ids=" ".join
)
def test_the_server_may_be_named_by_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("CROFAI_URL", server.url)
    monkeypatch.setenv("CROFAI_KEY", "sk-crof-x")
    monkeypatch.setenv("CROFAI_ADMIN_KEY", "sk-crof-y")
    runner.invoke(app, command)
    assert server.requests


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": [{"id": "x"}]}', b""])
def test_another_kind_of_server_is_told_apart(server: Server, body: bytes) -> None:
    server.body = body
    result = models(server)
    assert result.exit_code == 1
    assert "is it a crofai server?" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["models"], ["chat", "m", "--key", "k", "--once", "hi"]])
def test_no_server_exits_with_3(server: Server, command: list[str]) -> None:
    server.close()
    result = runner.invoke(app, [*command, "--url", server.url])
    assert result.exit_code == 3
    assert result.stderr == f"crofai: no server answers at {server.url}. Start one with: crofai up\n"


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999999"])
def test_a_bad_url_is_one_line(url: str) -> None:
    result = runner.invoke(app, ["models", "--url", url])
    assert result.exit_code in (1, 3)
    assert result.stderr.startswith("crofai: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("nothing", ["", "  \n"])
def test_once_needs_a_question(server: Server, nothing: str) -> None:
    result = chat(server, "--once", nothing)
    assert (result.exit_code, result.stderr) == (1, "crofai: --once: should be a question, got nothing\n")
    assert server.requests == []


def test_once_prints_the_answer_alone_and_its_figures_on_stderr(server: Server) -> None:
    server.says("Par", "is.", usage=7)
    result = chat(server, "--once", "Capital of France?")
    assert (result.exit_code, result.stdout) == (0, "Paris.\n")
    assert "7 tokens" in result.stderr
    assert "first after" in result.stderr
    path, authorization, body = server.requests[0]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer sk-crof-x")
    assert body["model"] == "llama3"
    assert body["stream"] is True
    assert body["messages"] == [{"role": "user", "content": "Capital of France?"}]


def test_a_conversation_sends_its_earlier_turns(server: Server) -> None:
    server.says("Hello.")
    result = chat(server, typed="hi\n\nand you?\n")
    assert (result.exit_code, result.stdout) == (0, "Hello.\nHello.\n")
    assert server.requests[1][2]["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "and you?"},
    ]


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(404, "model_not_found", 1), (401, "invalid_key", 1), (503, "model_unavailable", 3), (429, "queue_full", 3)],
)
def test_a_refusal_is_passed_on_in_the_servers_words(
    server: Server, status: int, code: str, exit_code: int
) -> None:
    server.status = status
    server.body = json.dumps({"error": {"code": code, "message": "No such luck."}}).encode()
    result = chat(server, "--once", "hi")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr == f"crofai: No such luck. ({code})\n"


def test_an_error_within_a_stream_ends_the_answer(server: Server) -> None:
    server.says("Par")
    error = {"error": {"code": "engine_failed", "message": "It broke."}}
    server.body = server.body.replace(b"data: [DONE]", f"data: {json.dumps(error)}".encode())
    result = chat(server, "--once", "hi")
    assert (result.exit_code, result.stdout) == (1, "Par\n")
    assert result.stderr == "crofai: It broke. (engine_failed)\n"


def test_a_stream_that_is_no_json_is_one_line(server: Server) -> None:
    server.body = b"data: nonsense\n\n"
    result = chat(server, "--once", "hi")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_the_demo_key_of_this_machine_is_the_default(server: Server, tmp_path: Path) -> None:
    server.says("Hello.")
    (tmp_path / "demo.key").write_text("sk-crof-demo\n")
    runner.invoke(app, ["chat", "llama3", "--url", server.url, "--once", "hi"])
    assert server.requests[0][1] == "Bearer sk-crof-demo"


def test_without_any_key_it_says_how_to_get_one(server: Server) -> None:
    result = runner.invoke(app, ["chat", "llama3", "--url", server.url, "--once", "hi"])
    assert result.exit_code == 1
    assert "crofai keys create" in result.stderr
    assert server.requests == []


def test_the_stopwatch_counts_the_rate_between_first_and_last_token() -> None:
    watch = Stopwatch(asked=10.0)
    for now in (10.5, 11.0, 12.5):
        watch.saw(now)
    assert str(watch) == "(3 tokens, 1.0 tokens/s, first after 0.50 s)"
    watch.tokens = 21
    assert str(watch) == "(21 tokens, 10.0 tokens/s, first after 0.50 s)"
    assert str(Stopwatch(asked=0)) == "(no text)"


@pytest.mark.parametrize("key", ["schlüssel", "a\nb", "a\0"])
def test_a_key_that_cannot_be_sent_is_said_in_one_line(server: Server, key: str) -> None:
    result = chat(server, "--key", key, "--once", "hi")
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: the API key holds characters that no key has")
    assert result.stderr.count("\n") == 1
    assert not server.requests


def test_what_is_no_text_is_asked_all_the_same(server: Server) -> None:
    server.says("ok")
    assert chat(server, "--once", "caf\udce9").stdout == "ok\n"
    assert server.requests[0][2]["messages"] == [{"role": "user", "content": "caf?"}]
