"""Server-sent events of a job: the worker's bytes, passed through; of images, as OpenAI has them. Hop 8.

For a client that knows of numbers, every event has its chunk's number as its `id`: after it follows the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from flask import Response

from gateway import image_events, views
from gateway.admission import Answer
from gateway.api.errors import error_json
from shared.errors import RequestError
from shared.messages import Chunk, Kind

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
JOB_ID = "X-Job-Id"


@dataclass(frozen=True)
class Wording:
    """How a stream says chunks (with the number of the last, to who knows of numbers), a failure, and its end."""

    chunks: Callable[[list[Chunk], int | None], bytes]
    failure: Callable[[RequestError], bytes]
    end: bytes


WORDINGS: dict[Kind, Wording] = {
    "chat": Wording(views.events, lambda error: b"data: %b\n\n" % error_json(error), b"data: [DONE]\n\n"),
    "image": Wording(image_events.events, image_events.failure, b""),
}


def stream(under_way: AbstractContextManager[Answer]) -> Response:
    """The answer as a response. What fails within the first second is an error with a status of its own."""
    with ExitStack() as stack:
        answer = stack.enter_context(under_way)
        chunks = iter(answer)
        first = next(chunks)
        events = _events(answer, first, chunks, stack.pop_all())
        headers = HEADERS | {JOB_ID: answer.job.id}
        return Response(events, mimetype="text/event-stream", headers=headers)


def _events(answer: Answer, first: list[Chunk], chunks: Iterator[list[Chunk]], job: ExitStack) -> Iterator[bytes]:
    """The stream's bytes. Closing it, as the server does when the client goes, ends the reading of the job."""
    wording = WORDINGS[answer.job.kind]

    def said(some: list[Chunk]) -> bytes:
        return wording.chunks(some, answer.number if answer.resumable else None)

    with job:
        try:
            yield said(first)
            for more in chunks:
                yield said(more)
        except RequestError as error:
            yield wording.failure(error)
        yield wording.end
