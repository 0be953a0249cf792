"""What the simulated models of the document's names say: known before they are asked."""

import random

from tests.acceptance import document
from workers.engines.simulated import WORDS

CHAT_PROMPT = "user message content"
STREAM_PROMPT = "summarize the titanic"

LENGTHS = {name: 20 + number for number, name in enumerate(document.ENDPOINTS.values())}
"""Words of a model's answers: each has its own number, so that an answer tells which model gave it."""


def said(model: str, prompt: str) -> str:
    """A model's answer, which the prompt and its length decide."""
    return " ".join(random.Random(prompt).choices(WORDS, k=LENGTHS[model]))
