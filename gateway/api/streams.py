"""Server-sent events of a job: the worker's bytes, passed through; of images, as OpenAI has them. Hop 8.

For a client that knows of numbers, every event has its chunk's number as its `id`: after it follows the rest.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import chain

from flask import Response, request

from gateway import image_events, views
from gateway.admission import Answer
from gateway.api.errors import error_json
from gateway.http import PRESENCE
from gateway.presence import Presence
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


TEXT = Wording(views.events, lambda error: b"data: %b\n\n" % error_json(error), b"data: [DONE]\n\n")
WORDINGS: dict[Kind, Wording] = {
    "chat": TEXT,
    "completion": TEXT,
    "image": Wording(image_events.events, image_events.failure, b""),
}
"""OpenAI's."""
RESULTS = Wording(image_events.results, image_events.failure, b"")
"""Of images, without their steps."""


def stream(
    under_way: AbstractContextManager[Answer],
    wording: Callable[[Answer], Wording] = lambda answer: WORDINGS[answer.job.kind],
) -> Response:
    """The answer as a response. What fails within the first second is an error with a status of its own."""
    with ExitStack() as stack:
        answer = stack.enter_context(under_way)
        chunks, words = iter(answer), wording(answer)
        first = next(chunks)
        presence: Presence = request.environ[PRESENCE]

        def pass_on(some: list[Chunk]) -> bool:
            if not presence.takes():
                return False  # before they are worded: some wordings know what they have said
            presence.write(_said(answer, words, some))
            return True

        answer.pass_on(pass_on)
        events = _events(answer, words, chain([first], chunks), stack.pop_all())
        headers = HEADERS | job_headers(answer)
        return Response(events, mimetype="text/event-stream", headers=headers)


def job_headers(answer: Answer) -> dict[str, str]:
    """What a response says of its job: the id, and in milliseconds how long things took so far."""
    timings = [f"{name};dur={1000 * seconds:.1f}" for name, seconds in answer.timings.items()]
    return {JOB_ID: answer.job.id, "Server-Timing": ", ".join(timings)} | answer.limits


def _events(answer: Answer, wording: Wording, chunks: Iterable[list[Chunk]], job: ExitStack) -> Iterator[bytes]:
    """The stream's bytes. Closing it, as the server does when the client goes, ends the reading of the job."""
    with job:
        try:
            for some in chunks:
                yield _said(answer, wording, some)
        except RequestError as error:
            yield wording.failure(error)
        yield wording.end


def _said(answer: Answer, wording: Wording, chunks: list[Chunk]) -> bytes:
    if not chunks:
        return views.comment(answer.place)
    return wording.chunks(chunks, answer.number if answer.resumable else None)
