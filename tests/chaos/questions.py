"""What clients ask, and what an undisturbed system answers."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import requests

PATIENCE = 300.0  # seconds for one answer of a real engine

SUBJECTS = """
lighthouses rivers bread glaciers bees violins comets owls
""".split()


@dataclass(frozen=True)
class Question:
    """A prompt, the most tokens to be said, and what is determined by them: text, usage and why it ends."""

    model: str
    prompt: str
    most: int
    text: str
    usage: dict[str, int]
    finish_reason: str

    @property
    def tokens(self) -> int:
        """How long the answer is."""
        return self.usage["completion_tokens"]

    def body(self) -> dict[str, object]:
        """A request for a greedy answer, which is determined."""
        messages = [{"role": "user", "content": self.prompt}]
        return {"model": self.model, "messages": messages, "max_tokens": self.most, "temperature": 0}


Questions = Callable[[random.Random, int], Question]
"""Chooses the question of a request, by its dice and its number."""


def echo(model: str, words: Sequence[str], most: int | None = None) -> Question:
    """The simulated engine says the words again."""
    said = words[:most]
    usage = {"prompt_tokens": len(words) + 1, "completion_tokens": len(said)}
    finish_reason = "length" if len(said) < len(words) else "stop"
    prompt = "echo " + " ".join(words)
    return Question(model, prompt, most or len(words), " ".join(said), usage, finish_reason)


def words_of_their_own(model: str) -> Questions:
    """No two requests say the same, so that another's text is seen as such."""

    def choose(dice: random.Random, number: int) -> Question:
        count = dice.randint(20, 160)
        most = dice.choice([count, count, max(1, count // 2)])
        return echo(model, [f"r{number}w{place}" for place in range(count)], most)

    return choose


def answered(url: str, key: str, model: str, most: int) -> list[Question]:
    """Questions that a real engine answers before anything is struck: one at a time, and then all at once.

    A batch's sums are not made in the order of a single one's, and where two tokens are almost equally likely that
    may change an answer. What it changes is left out. Raises AssertionError if that leaves nothing.
    """
    ask = partial(_ask, url, key, model, most)
    alone = [ask(subject) for subject in SUBJECTS]
    with ThreadPoolExecutor(len(SUBJECTS)) as pool:
        together = list(pool.map(ask, SUBJECTS))
    stable = [one for one, other in zip(alone, together, strict=True) if one == other]
    print(f"{len(stable)} of {len(alone)} answers are the same alone and in a batch of {len(alone)}", flush=True)
    assert stable, f"no answer of {model} is the same alone and in a batch"
    return stable


def _ask(url: str, key: str, model: str, most: int, subject: str) -> Question:
    asked = Question(model, f"Tell me a long story about {subject}.", most, "", {}, "")
    headers = {"X-API-Key": key}
    response = requests.post(f"{url}/v1/chat/completions", json=asked.body(), headers=headers, timeout=PATIENCE)
    response.raise_for_status()
    answer = response.json()
    (choice,) = answer["choices"]
    usage = {name: answer["usage"][name] for name in ("prompt_tokens", "completion_tokens")}
    return Question(model, asked.prompt, most, choice["message"]["content"], usage, choice["finish_reason"])
