"""The API's document as its users have it, and what it prints: code, bodies and names."""

import hashlib
import re
from pathlib import Path

FILE = Path(__file__).parent / "seed" / "crofai-api.md"
DOCUMENT = FILE.read_text()
SHA256 = "23196c0007f330c435fd7c17b903fbf3c9209193aa3947813ea7f7ebc636c2b2"
assert hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256, f"{FILE} is not what users have: restore it"
HOST = "https://ai.nahcrof.com"


def blocks(language: str = "") -> list[str]:
    """The code blocks of a language, in the document's order and to the letter."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def fill(block: str, **values: str) -> str:
    """A block with its placeholders replaced, each of which must be there. Nothing else is changed."""
    for name, value in values.items():
        placeholder = PLACEHOLDERS[name]
        assert placeholder in block, f"the block has no {placeholder}:\n{block}"
        block = block.replace(placeholder, value)
    return block


PLACEHOLDERS = {
    "host": HOST,
    "key": "myapikey",
    "path_model": "{MODEL-NAME}",
    "python_token": "TOKEN_GOES_HERE",
    "javascript_token": '"TOKEN"',
    "model": '"MODEL"',
}

PYTHON_CHAT, PYTHON_IMAGE, PYTHON_STREAM = blocks("python")
(TYPESCRIPT_CHAT,) = blocks("typescript")
(JAVASCRIPT_STREAM,) = blocks("javascript")
CHAT_BODY, CHAT_RESPONSE, IMAGE_BODY, IMAGE_RESPONSE = blocks("json")
_, _MODELS, _SPEEDS, _, _STREAMING = blocks()

ENDPOINTS = dict(line.split(" - /free/") for line in _MODELS.splitlines())
"""A model's long name → the last part of its path."""

WITH_SPEEDS = re.findall(r"^(\S+) - ~", _SPEEDS, re.MULTILINE)
STREAMING = [line.split()[0] for line in _STREAMING.splitlines()]
"""One of them is "NOT YET" there; it is here."""
