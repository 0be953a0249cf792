"""Server-sent events, as they come over a connection."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Heard(NamedTuple):
    """A comment, or an event's data with the number that is its `id`."""

    comment: str | None = None
    data: str = ""
    number: int | None = None


def server_sent_events(chunks: Iterable[bytes]) -> Iterator[Heard]:
    """What is in these bytes, wherever the network has cut them."""
    number, data = None, []
    for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            yield Heard(comment=value.strip())
        elif field == "data":
            data.append(value)
        elif field == "id":
            number = int(value) if value.isascii() and value.isdecimal() else None
        elif not line:
            if data:
                yield Heard(data="\n".join(data), number=number)
            number, data = None, []


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of text. Only a line feed ends one: JSON may hold all else that Unicode calls a line's end."""
    begun: list[bytes] = []  # of a line: an image's is long
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*begun, end]).removesuffix(b"\r").decode(errors="replace")
            begun.clear()
        begun.append(rest)
