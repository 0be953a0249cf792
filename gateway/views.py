"""Hop 8: what the dialects show of a job's chunks."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.line import Place, about
from shared.messages import Chunk


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta = msgspec.field(default_factory=_Delta)
    message: _Delta = msgspec.field(default_factory=_Delta)
    text: str | None = None


class _TextChunk(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list)


class Picture(msgspec.Struct):
    """One finished image: a PNG, in base64."""

    b64_json: str
    seed: int = 0

    @property
    def png(self) -> bytes:
        return base64.b64decode(self.b64_json)


class ImageChunk(msgspec.Struct):
    """What an image engine says: a step of progress, or, at last, the pictures."""

    object: str
    step: int = 0
    steps: int = 0
    created: int = 0
    size: str = ""
    usage: dict[str, Any] = msgspec.field(default_factory=dict)
    data: list[Picture] = msgspec.field(default_factory=list)


def text(chunks: list[Chunk]) -> str:
    """The answer's text in these chunks of a chat or a completion; of several answers, the first's."""
    return "".join(
        choice.delta.content or choice.message.content or choice.text or ""
        for chunk in payloads(chunks)
        for choice in _TEXT.decode(chunk).choices
        if choice.index == 0
    )


def images(chunks: list[Chunk]) -> list[ImageChunk]:
    """Progress and results in these chunks of an image job."""
    return [_IMAGE.decode(payload) for payload in payloads(chunks)]


def events(chunks: list[Chunk], last: int | None = None) -> bytes:
    """Server-sent events: the worker's bytes, passed through; numbered if the number of the `last` is given."""
    if last is None:
        return b"".join(b"data: %b\n\n" % payload for payload in payloads(chunks))
    numbered = zip(range(last - len(chunks) + 1, last + 1), payloads(chunks), strict=False)
    return b"".join(b"id: %d\ndata: %b\n\n" % event for event in numbered)


def event(fields: dict[str, Any]) -> bytes:
    """A server-sent event of the name that its `type` is."""
    return b"event: %b\ndata: %b\n\n" % (fields["type"].encode(), msgspec.json.encode(fields))


def comment(place: Place | None) -> bytes:
    """What a stream has while there is nothing to tell, so that proxies do not give up: where its job stands."""
    if place is None:
        return b": waiting\n\n"
    if place.held is not None and not place.loading:
        return f": no worker, position {place.position}, held for {about(place.held)}\n\n".encode()
    what = "loading" if place.loading else "waiting"
    time = "" if place.seconds is None else f", {about(place.seconds)}"
    return f": {what}, position {place.position}{time}\n\n".encode()


def payloads(chunks: list[Chunk]) -> Iterator[bytes]:
    """The payloads, as bytes; the last chunk of a job has none."""
    return (bytes(chunk.payload) for chunk in chunks if chunk.end is None)


_TEXT = msgspec.json.Decoder(_TextChunk)
_IMAGE = msgspec.json.Decoder(ImageChunk)
