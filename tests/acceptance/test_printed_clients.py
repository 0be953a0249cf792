"""The document's clients, as printed, get exactly what a simulated model says."""

from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance.printed import Printed
from tests.acceptance.said import CHAT_PROMPT, STREAM_PROMPT, said
from tests.cluster import Cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


def test_python_chat(printed: Printed) -> None:
    assert printed.python_chat("llama3").answer() == said("llama3", CHAT_PROMPT) + "\n"


def test_typescript_chat(printed: Printed) -> None:
    assert printed.typescript_chat("llama3.3-70b").answer() == said("llama3.3-70b", CHAT_PROMPT) + "\n"


def test_python_image(printed: Printed) -> None:
    run = printed.python_image()
    assert run.answer() == ""
    with Image.open(run.folder / "generated_image.png") as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (64, 64))


def test_python_stream(printed: Printed) -> None:
    assert printed.python_stream("llama3_70b").answer() == said("llama3_70b", STREAM_PROMPT) + "\n"


def test_javascript_stream(printed: Printed) -> None:
    *chunks, end = printed.javascript_stream("llama3.1-405b").answer().splitlines()
    assert "".join(chunks) == said("llama3.1-405b", STREAM_PROMPT)
    assert end == "ENDOFMESSAGE"
    assert len(chunks) > 1, "the answer came in one piece: nothing was streamed"


@pytest.fixture
def stranger(named: Cluster, tmp_path: Path) -> Printed:
    """The printed clients with a key that is none."""
    return Printed(named.url, "sk-crof-wrong", tmp_path)


def test_python_chat_shows_a_refusal(stranger: Printed) -> None:
    """It prints a value that has no "response"."""
    assert "'code': 'invalid_key'" in stranger.python_chat("llama3").answer()


def test_python_stream_ends_on_a_refusal(stranger: Printed) -> None:
    run = stranger.python_stream("llama3")
    assert (run.status, run.out) == (0, "")
    assert "RuntimeError: Improper AI response" in run.err


def test_javascript_stream_shows_a_refusal(stranger: Printed) -> None:
    assert stranger.javascript_stream("llama3").answer() == "||AI ERROR||\n"
