"""The examples in the documentation, run as they are printed there once the visitor's key is filled in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests import page
from tests.acceptance.programs import Programs, Run
from tests.acceptance.said import said
from tests.cluster import Cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

CHAT, PICTURES = "llama3", "stable_diffusion"
QUESTION = "Why is the sky blue?"
STATES = {"queued", "running", "succeeded", "cancelled"}

Check = Callable[[Run, str], None]
"""Of what a program did, and the language it is written in."""


def says(prompt: str = QUESTION) -> Check:
    def check(done: Run, language: str) -> None:
        assert said(CHAT, prompt) in done.answer()

    return check


def streams(done: Run, language: str) -> None:
    """curl shows the events as they come, all others the text."""
    if language == "curl":
        assert done.answer().endswith("data: [DONE]\n\n")
    else:
        assert done.answer().startswith(said(CHAT, QUESTION))


def draws(done: Run, language: str) -> None:
    done.answer()
    with Image.open(done.folder / "image.png") as image:
        assert (image.format, image.size) == ("PNG", (64, 64))


def lists(done: Run, language: str) -> None:
    out = done.answer()
    assert CHAT in out
    assert PICTURES in out


def measures(done: Run, language: str) -> None:
    assert json.loads(done.answer())["object"] in ("model.stats", "status")


def counts(done: Run, language: str) -> None:
    out = done.answer()
    if language == "curl":
        assert json.loads(out)["object"] == "list"
    else:
        assert out.startswith("from 2")


def tells_of_the_account(done: Run, language: str) -> None:
    out = done.answer()
    if language == "curl":
        assert json.loads(out)["object"] == "account"
    else:
        assert out.startswith("free\n")
        assert "requests_per_minute" in out


def makes_a_key(done: Run, language: str) -> None:
    out = done.answer()
    secret = json.loads(out)["secret"] if language == "curl" else out.strip()
    assert secret.startswith("sk-crof-")


def cancels(done: Run, language: str) -> None:
    """What a job is right after it was asked to end."""
    out = done.answer().strip()
    state = json.loads(out.rsplit("\n", 1)[1])["state"] if language == "curl" else out
    assert state in STATES


CHECKS: dict[tuple[str, str], Check] = {
    ("/", "first"): says(),
    ("/docs/chat", "stream"): streams,
    ("/docs/completions", "request"): says("The sky is blue because"),
    ("/docs/messages", "request"): says(),
    ("/docs/images", "request"): draws,
    ("/docs/simple", "chat"): says(),
    ("/docs/simple", "images"): draws,
    ("/docs/models", "list"): lists,
    ("/docs/models", "stats"): measures,
    ("/docs/models", "status"): measures,
    ("/docs/usage", "sums"): counts,
    ("/docs/usage", "jobs"): counts,
    ("/docs/keys", "account"): tells_of_the_account,
    ("/docs/keys", "make"): makes_a_key,
    ("/docs/jobs", "resume"): streams,
    ("/docs/jobs", "cancel"): cancels,
    ("/docs/sockets", "prompt"): says("summarize the titanic"),
}
"""By page and section."""


@pytest.mark.parametrize(("address", "section", "language"), page.examples())
def test_an_example_works(address: str, section: str, language: str, named: Cluster, tmp_path: Path) -> None:
    values = {"BASE_URL": named.url, "YOUR_KEY": named.key("free"), "CHAT_MODEL": CHAT, "IMAGE_MODEL": PICTURES}
    done = run(language, page.examples(**values)[address, section, language], Programs(tmp_path))
    CHECKS[address, section](done, language)


def run(language: str, text: str, programs: Programs) -> Run:
    if language == "typescript":
        return programs.typescript(text, module=True)
    return {"curl": programs.shell, "python": programs.python, "javascript": programs.javascript}[language](text)
