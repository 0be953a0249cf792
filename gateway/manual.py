"""The documentation, page by page: what there is at /docs/<name>, and in which order it is read."""

from typing import NamedTuple


class Chapter(NamedTuple):
    """A page of the documentation; the template docs/<name>.html has its text."""

    name: str
    title: str
    note: str

    @property
    def address(self) -> str:
        return f"/docs/{self.name}"

    @property
    def template(self) -> str:
        return f"docs/{self.name}.html"


PARTS = {
    "Endpoints": (
        Chapter("chat", "Chat", "Conversations in OpenAI’s shape, whole or as a live stream."),
        Chapter("completions", "Completions", "A text that the model goes on with, in OpenAI’s shape."),
        Chapter("messages", "Messages", "Conversations in Anthropic’s shape, for its client libraries."),
        Chapter("images", "Images", "Images of a text, in OpenAI’s shape, whole or with an event for each step."),
        Chapter(
            "simple",
            "Simple requests",
            "One JSON object in, one out: chats and images at /v1/free and /v1/premium.",
        ),
        Chapter("models", "Models and status", "Which models there are, what is up now, and how fast it is."),
        Chapter("usage", "Usage", "What your account has used: by day, model and key, or job by job."),
        Chapter("keys", "Account and keys", "What is left of your limits, and the keys of your account."),
        Chapter(
            "jobs", "Jobs: resume and cancel", "Come back to an answer after a broken connection, or end it early."
        ),
        Chapter("sockets", "Socket.IO", "Live answers over one connection, event by event."),
    ),
    "All requests": (
        Chapter(
            "headers",
            "Keys and headers",
            "Where the key goes, what a request may say of itself, and what an answer tells.",
        ),
        Chapter("errors", "Errors", "Every status and code, its cause, what to do, and whether to try again."),
        Chapter(
            "limits", "Limits", "How much an account may ask for, and how large, long and slow a request may be."
        ),
    ),
}
"""By the heading above them."""

CHAPTERS = [chapter for part in PARTS.values() for chapter in part]
