"""What the simulated engine can keep to, and what it refuses rather than ignore. Hop 5."""

from typing import Any

from shared.errors import InvalidRequest


def check_simulated(body: dict[str, Any]) -> None:
    """Raises InvalidRequest for what only a model can do."""
    refuse = {
        "structured_outputs": "structured_outputs" in body,
        "response_format": body.get("response_format", {}).get("type", "text") != "text",
        "tool_choice": body.get("tool_choice", "none") not in ("none", "auto"),
        "logprobs": body.get("logprobs") is not None and body["logprobs"] is not False,
    }
    for field, asked in refuse.items():
        if asked:
            fix = "the simulated engine does not do this: it has no model; leave it out"
            raise InvalidRequest(f"{field}: {fix}", param=field)


def until_stop(words: list[str], stop: str | list[str]) -> tuple[list[str], str | None]:
    """The words up to the first of the texts that end an answer, and which it was. The words that make it up are
    kept, as empty ones: their tokens are counted."""
    text = "".join(words)
    found = [(text.find(end), end) for end in ([stop] if isinstance(stop, str) else stop) if end in text]
    if not found:
        return words, None
    place, end = min(found)
    kept: list[str] = []
    start = 0
    for word in words:
        if start >= place + len(end):
            break
        kept.append(word[: max(0, place - start)])
        start += len(word)
    return kept, end
