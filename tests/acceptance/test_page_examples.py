"""The examples on the page, run as they are printed there once the visitor's key is filled in."""

from pathlib import Path

import pytest
from PIL import Image

from tests import page
from tests.acceptance.programs import Programs, Run
from tests.acceptance.said import said
from tests.cluster import Cluster

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

CHAT, PICTURES = "llama3", "stable_diffusion"
PROMPTS = {"chat": "Why is the sky blue?", "openai": "Why is the sky blue?", "sockets": "summarize the titanic"}


@pytest.mark.parametrize(("section", "language"), page.examples())
def test_an_example_works(section: str, language: str, named: Cluster, tmp_path: Path) -> None:
    values = {"BASE_URL": named.url, "YOUR_KEY": named.key("free"), "CHAT_MODEL": CHAT, "IMAGE_MODEL": PICTURES}
    done = run(language, page.examples(**values)[section, language], Programs(tmp_path))
    out = done.answer()
    if section == "images":
        with Image.open(done.folder / "image.png") as image:
            assert (image.format, image.size) == ("PNG", (64, 64))
    elif language == "curl" and section in ("openai", "return"):
        assert out.endswith("data: [DONE]\n\n")
    else:
        assert said(CHAT, PROMPTS[section]) in out


def run(language: str, text: str, programs: Programs) -> Run:
    if language == "typescript":
        return programs.typescript(text, module=True)
    return {"curl": programs.shell, "python": programs.python, "javascript": programs.javascript}[language](text)
