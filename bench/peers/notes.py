"""What is to be said of goals that were missed: what the profile shows, and what was tried."""

from collections.abc import Iterator

NOTES: dict[str, str] = {}
"""By the measure's name in the table."""


def of(missed: set[str]) -> Iterator[str]:
    """The notes on these, as paragraphs."""
    for what, note in NOTES.items():
        if what in missed:
            yield ""
            yield f"**{what}.** {note}"
