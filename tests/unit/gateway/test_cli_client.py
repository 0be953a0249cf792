"""`crofai models`, `crofai chat` and `crofai image` against a server that says what the test wants."""

import io
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway.cli import api
from gateway.cli.conversation import Conversation, Stopwatch
from gateway.cli.failures import CommandFailed
from gateway.cli.main import app
from gateway.cli.screen import Screen
from gateway.cli.session import Session
from gateway.cli.teller import ForPeople
from tests.terminal import CROFAI

runner = CliRunner()

SERVING = {"aliases": ["Llama3-8b"], "workers": 2, "waiting": 5, "tokens_per_second": 12.5}
LLAMA = {"id": "llama3", "kind": "chat", "state": "ready"} | SERVING
NOBODY = {"aliases": [], "workers": 0, "waiting": 0, "tokens_per_second": 0.0}
COLD = {"id": "cold1", "kind": "image", "state": "cold"} | NOBODY
JOB = "job_1"


class Server:
    """Answers every request with `status` and `body`, and keeps the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.models: list[dict[str, Any]] | None = None  # None: as any other request
        self.requests: list[tuple[str, str | None, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                server.requests.append((self.path, self.headers["Authorization"], body))
                listing = self.path == "/v1/models" and server.models is not None
                self.send_response(200 if listing else server.status)
                self.send_header("X-Job-Id", JOB)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(json.dumps({"data": server.models}).encode() if listing else server.body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=[0.01], daemon=True).start()

    def says(self, *texts: str, usage: int | None = None) -> None:
        """Have it stream a chat answer."""
        self.streams(*({"content": text} for text in texts), usage=usage)

    def streams(self, *deltas: dict[str, str], usage: int | None = None) -> None:
        events: list[Any] = [{"choices": [{"delta": delta}]} for delta in deltas]
        events.append({"choices": [], "usage": {"completion_tokens": usage} if usage else None})
        numbered = (
            f"id: {number}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
            for number, event in enumerate(events, 1)
        )
        self.body = b"".join(numbered) + b"data: [DONE]\n\n"

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
    command = ["chat", "--model", "llama3", "--url", server.url, "--key", "sk-crof-x", *arguments]
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
    "command", [["models"], ["chat", "--model", "llama3", "hi"], ["accounts"], ["keys"]], ids=" ".join
)
def test_the_server_may_be_named_by_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("CROFAI_URL", server.url)
    monkeypatch.setenv("CROFAI_KEY", "sk-crof-x")
    monkeypatch.setenv("CROFAI_ADMIN_KEY", "sk-crof-y")
    server.says("ok")
    runner.invoke(app, command)
    assert server.requests


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": [{"id": "x"}]}', b""])
def test_another_kind_of_server_is_told_apart(server: Server, body: bytes) -> None:
    server.body = body
    result = models(server)
    assert result.exit_code == 1
    assert "is it a crofai server?" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["models"], ["chat", "--key", "k", "hi"], ["image", "--key", "k", "hi"]])
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
def test_it_needs_a_question(server: Server, nothing: str) -> None:
    result = chat(server, nothing, typed="")
    words = 'crofai: there is no question: give one, as in: crofai chat "Why is the sky blue?"\n'
    assert (result.exit_code, result.stderr) == (1, words)
    assert server.requests == []


def test_the_answer_is_printed_alone(server: Server) -> None:
    server.says("Par", "is.", usage=7)
    result = chat(server, "Capital of France?")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Paris.\n", "")
    path, authorization, body = server.requests[0]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer sk-crof-x")
    assert body["model"] == "llama3"
    assert body["stream"] is True
    assert body["messages"] == [{"role": "user", "content": "Capital of France?"}]


@pytest.mark.parametrize("deltas", [[], [{"content": ""}], [{"reasoning": "Hm."}]], ids=str)
def test_an_answer_without_any_text_is_told(server: Server, deltas: list[dict[str, str]]) -> None:
    server.streams(*deltas)
    result = chat(server, "hi")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "The model ended without any text.\n")
    assert chat(server, "--quiet", "hi").output == ""
    result = chat(server, "--json", "hi")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout.splitlines()[-1])["text"] == ""


@pytest.mark.parametrize(
    "command", ["chat -m llama3 hi", "chat -m llama3 --json hi", "models --json", "usage", "keys", "--help"]
)
def test_output_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path, command: str) -> None:
    if command.startswith("chat"):
        server.says("Paris.")
    else:
        listing = {"data": [], "has_more": False, "last_id": None, "from": "", "to": ""}
        server.body = json.dumps(listing).encode()
    keys = {"CROFAI_KEY": "sk-crof-x", "CROFAI_ADMIN_KEY": "sk-crof-y"}
    env = os.environ | keys | {"CROFAI_URL": server.url, "CROFAI_DATA_DIR": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*CROFAI, *command.split()], env=env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    why = "No space left on device; make room, or send it elsewhere"
    assert (done.returncode, done.stderr) == (1, f"crofai: the output cannot be written: {why}\n")


def test_what_the_user_does_not_say_is_not_sent(server: Server) -> None:
    server.says("ok")
    chat(server, "hi")
    assert server.requests[0][2].keys() == {"model", "messages", "stream", "stream_options"}
    chat(server, "--seed", "0", "--stop", "a\\nb", "--system", "Be brief.", "hi")
    body = server.requests[1][2]
    assert (body["seed"], body["stop"]) == (0, ["a\nb"])
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_first_model_that_is_ready_is_the_default(server: Server) -> None:
    server.says("ok")
    server.models = [
        COLD,
        LLAMA | {"id": "cold2", "state": "cold"},
        LLAMA | {"id": "soon", "state": "loading"},
        LLAMA,
    ]
    command = ["--url", server.url, "--key", "sk-crof-x", "hi"]
    assert runner.invoke(app, ["chat", *command]).stdout == "ok\n"
    assert server.requests[-1][2]["model"] == "llama3"
    result = runner.invoke(app, ["image", *command])
    words = "crofai: no model that makes images is up. See: crofai models\n"
    assert (result.exit_code, result.stderr) == (3, words)


def test_what_a_model_thinks_is_folded_unless_it_is_wanted(server: Server) -> None:
    server.streams({"reasoning": "It is "}, {"reasoning_content": "north."}, {"content": "Paris."})
    assert chat(server, "hi").output == "Paris.\n"
    result = chat(server, "--reasoning", "hi")
    assert (result.stdout, result.stderr) == ("Paris.\n", "It is north.\n")
    told = [json.loads(line) for line in chat(server, "--json", "hi").stdout.splitlines()]
    assert [event["text"] for event in told if event["event"] == "reasoning"] == ["It is ", "north."]
    assert (told[-1]["text"], told[-1]["reasoning"]) == ("Paris.", "It is north.")


def test_unicodes_own_line_ends_are_no_ends_of_events(server: Server) -> None:
    server.says("a\u2028b\u0085c")
    assert chat(server, "hi").stdout == "a\u2028b<0085>c\n"


def test_names_cannot_control_the_terminal(server: Server) -> None:
    server.models = [LLAMA | {"id": "x\x1b[2J[red]y", "state": "[blink]\x1b]0;a\x07"}]
    result = models(server)
    assert result.exit_code == 0
    assert not set(result.stdout) & set("\x1b\x07")
    assert "x␛[2J[red]y" in result.stdout


def test_an_error_cannot_control_it_either(server: Server) -> None:
    server.status = 400
    server.body = json.dumps({"error": {"code": "no", "message": "a\x1b[2Jb\r\u009b"}}).encode()
    assert chat(server, "hi").stderr == "crofai: a␛[2Jb<009B> (no)\n"


@pytest.mark.parametrize("after", ["5", "soon", "\u0665"])
def test_when_to_try_again_is_told(server: Server, after: str) -> None:
    server.status, server.headers = 429, {"Retry-After": after} if after.isascii() else {}
    server.body = json.dumps({"error": {"code": "rate_limit_exceeded", "message": "Too many."}}).encode()
    again = " Try again in 5 s." if after == "5" else ""
    result = chat(server, "hi")
    assert (result.exit_code, result.stderr) == (3, f"crofai: Too many.{again} (rate_limit_exceeded)\n")


def test_an_image_that_is_none_is_not_kept(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    server.body = b'id: 1\ndata: {"type": "image_generation.completed", "b64_json": "?"}\n\n'
    command = ["image", "--model", "p", "--url", server.url, "--key", "k", "--out", str(out), "a cat"]
    result = runner.invoke(app, command)
    assert (result.exit_code, result.stderr) == (1, "crofai: the server has sent an image that is none\n")
    assert not out.exists()
    there = runner.invoke(app, [*command, "--out", str(tmp_path / "no" / "x.png")])
    assert (there.exit_code, there.stderr) == (1, f"crofai: {tmp_path / 'no'}: is no folder; make it first\n")


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(404, "model_not_found", 1), (401, "invalid_key", 1), (503, "model_unavailable", 3), (429, "queue_full", 3)],
)
def test_a_refusal_is_passed_on_in_the_servers_words(
    server: Server, status: int, code: str, exit_code: int
) -> None:
    server.status = status
    server.body = json.dumps({"error": {"code": code, "message": "No such luck."}}).encode()
    result = chat(server, "hi")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr == f"crofai: No such luck. ({code})\n"


def test_an_error_within_a_stream_ends_the_answer(server: Server) -> None:
    server.says("Par")
    error = {"error": {"code": "engine_failed", "message": "It broke."}}
    server.body = server.body.replace(b"data: [DONE]", f"data: {json.dumps(error)}".encode())
    result = chat(server, "hi")
    assert (result.exit_code, result.stdout) == (1, "Par\n")
    assert result.stderr == "crofai: It broke. (engine_failed)\n"


def test_a_stream_that_is_no_json_is_one_line(server: Server) -> None:
    server.body = b"data: nonsense\n\n"
    result = chat(server, "hi")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_the_demo_key_of_this_machine_is_the_default(server: Server, tmp_path: Path) -> None:
    server.says("Hello.")
    (tmp_path / "demo.key").write_text("sk-crof-demo\n")
    runner.invoke(app, ["chat", "--model", "llama3", "--url", server.url, "hi"])
    assert server.requests[0][1] == "Bearer sk-crof-demo"


def test_without_any_key_it_says_how_to_get_one(server: Server) -> None:
    result = runner.invoke(app, ["chat", "--model", "llama3", "--url", server.url, "hi"])
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
    watch.broken = True
    assert str(watch) == "(21 tokens, first after 0.50 s)"
    assert str(Stopwatch(asked=0)) == "(0 tokens)"


@pytest.mark.parametrize("key", ["schlüssel", "a\nb", "a\0"])
def test_a_key_that_cannot_be_sent_is_said_in_one_line(server: Server, key: str) -> None:
    result = chat(server, "--key", key, "hi")
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: the API key holds characters that no key has")
    assert result.stderr.count("\n") == 1
    assert not server.requests


@pytest.mark.parametrize(
    "choice",
    [{"message": {"role": "assistant", "content": "Paris."}}, {"text": "Paris."}],
    ids=["chat", "completion"],
)
def test_an_answer_that_was_asked_for_as_a_whole_is_resumed(server: Server, choice: dict[str, Any]) -> None:
    choices = [{"index": 0, "finish_reason": "stop"} | choice, {"index": 1} | choice]
    whole = {"model": "llama3", "choices": choices, "usage": {"completion_tokens": 2}}
    server.body = f"id: 1\ndata: {json.dumps(whole)}\n\ndata: [DONE]\n\n".encode()
    command = ["chat", "--resume", JOB, "--url", server.url, "--key", "k"]
    assert runner.invoke(app, command).stdout == "Paris.\n"
    done = json.loads(runner.invoke(app, [*command, "--json"]).stdout.splitlines()[-1])
    assert (done["text"], done["finish_reason"], done["usage"]) == ("Paris.", "stop", {"completion_tokens": 2})


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_a_gateway_exits_with_3(server: Server, status: int) -> None:
    server.status, server.body = status, b"<html>Bad gateway</html>"
    result = models(server)
    words = f"crofai: {server.url}/v1/models: answered {status}; no gateway is there now\n"
    assert (result.exit_code, result.stderr) == (3, words)


@pytest.mark.parametrize(
    ("error", "exit_status"),
    [
        (httpx.ReadError(""), 3),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), 3),
        (httpx.ReadTimeout(""), 3),
        (httpx.UnsupportedProtocol("no"), 1),
        (httpx.DecodingError("no"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_connection_that_breaks_is_a_server_that_is_not_ready(error: httpx.HTTPError, exit_status: int) -> None:
    with pytest.raises(CommandFailed) as raised, api.plain_errors("http://x"):
        raise error
    assert raised.value.exit_status == exit_status


def test_a_shell_is_given_no_words_of_a_server(server: Server) -> None:
    hostile = "x'; touch pwned; '"
    server.models = [LLAMA, LLAMA | {"id": "other", "aliases": ["$(id)", hostile], "state": hostile}]
    asks = {"_CROFAI_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "crofai chat --model "}
    result = runner.invoke(app, [], env=asks | {"CROFAI_URL": server.url}, prog_name="crofai")
    assert result.stdout.split() == [
        "_arguments",
        "'*:",
        ':(("llama3":"ready"',
        '"Llama3-8b":"ready"',
        '"other"))\'',
    ]


def test_what_is_no_text_is_asked_all_the_same(server: Server) -> None:
    server.says("ok")
    assert chat(server, "caf\udce9").stdout == "ok\n"
    assert server.requests[0][2]["messages"] == [{"role": "user", "content": "caf?"}]
    options = ["--system", "\udce9", "--stop", "\udce9", "--reasoning-effort", "\udce9"]
    assert chat(server, *options, "hi").stdout == "ok\n"
    assert server.requests[1][2]["messages"][0] == {"role": "system", "content": "?"}


def test_a_conversation_of_what_is_no_text_is_saved(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.says("half @ of one")
    server.body = server.body.replace(b"@", rb"\ud83d")
    save = f"/save {tmp_path / 'talk.md'}"
    lines = iter(["/system caf\udce9", "hi\udce9", "hi", save, save, "/quit"])
    monkeypatch.setattr("builtins.input", lambda *_: next(lines))
    screen = Screen(err=(said := io.StringIO()))
    with api.client(server.url, "k") as client:
        conversation = Conversation(client, ForPeople(screen), system=None, parameters={})
        conversation.model = "llama3"
        Session(client, conversation, screen).run()
    answer = "## assistant\n\nhalf ? of one\n"
    parts = ["## system\n\ncaf?\n", "## user\n\nhi?\n", answer, "## user\n\nhi\n", answer]
    assert (tmp_path / "talk.md").read_text() == "\n".join(parts)
    assert said.getvalue().endswith("talk.md: is there already; give another name\n")
    assert server.requests[1][2]["messages"][2] == {"role": "assistant", "content": "half ? of one"}
