"""Server-sent events of a job: the worker's bytes, passed through. Hop 8.

For a client that knows of numbers, every event has its chunk's number as its `id`: after it follows the rest.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

from flask import Response

from gateway import views
from gateway.admission import Answer
from gateway.api.errors import error_json
from shared.errors import RequestError
from shared.messages import Chunk

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
JOB_ID = "X-Job-Id"


def stream(under_way: AbstractContextManager[Answer]) -> Response:
    """The answer as a response. What fails within the first second is an error with a status of its own."""
    with ExitStack() as stack:
        answer = stack.enter_context(under_way)
        chunks = iter(answer)
        first = next(chunks)
        events = _events(answer, first, chunks, stack.pop_all())
        headers = HEADERS | job_headers(answer)
        return Response(events, mimetype="text/event-stream", headers=headers)


def job_headers(answer: Answer) -> dict[str, str]:
    """What a response says of its job: the id, and in milliseconds how long things took so far."""
    timings = [f"{name};dur={1000 * seconds:.1f}" for name, seconds in answer.timings.items()]
    return {JOB_ID: answer.job.id, "Server-Timing": ", ".join(timings)}


def _events(answer: Answer, first: list[Chunk], chunks: Iterator[list[Chunk]], job: ExitStack) -> Iterator[bytes]:
    """The stream's bytes. Closing it, as the server does when the client goes, ends the reading of the job."""
    with job:
        try:
            yield _numbered(answer, first)
            for more in chunks:
                yield _numbered(answer, more)
        except RequestError as error:
            yield b"data: %b\n\n" % error_json(error)
        yield b"data: [DONE]\n\n"


def _numbered(answer: Answer, chunks: list[Chunk]) -> bytes:
    if not chunks:
        return views.comment(answer.place)
    return views.events(chunks, answer.number if answer.resumable else None)
