"""Jobs by their id: what has become of one, its answer from any point on, and its end. Hops 1 and 8.

The id of an answer is in its header X-Job-Id. A stream asked for with X-Resume-Within (seconds the client may stay
away) has the number of each event in the event's `id`, as these events always have.
Only the account that sent a request sees its job, through any gateway.
"""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from msgspec.structs import asdict

from gateway import views
from gateway.admission import Admission
from gateway.api.errors import error_body
from gateway.api.requests import key_holder, waiting_client
from gateway.api.streams import stream
from gateway.auth import Keyring
from shared.errors import InvalidRequest
from shared.joblog import Record
from shared.messages import Chunk


def jobs_api(keyring: Keyring, admission: Admission) -> Blueprint:
    api = Blueprint("jobs", __name__)

    @api.get("/v1/jobs/<job_id>")
    def one(job_id: str) -> Response:
        holder = key_holder(keyring)
        return jsonify(status(*admission.read(holder, job_id)))

    @api.get("/v1/jobs/<job_id>/events")
    def events(job_id: str) -> Response:
        holder = key_holder(keyring)
        return stream(admission.resume(holder, job_id, _after(), waiting_client()))

    @api.delete("/v1/jobs/<job_id>")
    def cancel(job_id: str) -> Response:
        holder = key_holder(keyring)
        job = admission.find(holder, job_id)
        admission.cancel(job)
        return jsonify(status(*admission.read(holder, job_id)))

    def status(job: Record, chunks: list[Chunk]) -> dict[str, Any]:
        place = admission.lines.place(job.model, job.id) if job.state == "queued" else None
        return _status(job, chunks) | {"waiting": place._asdict() if place else None}

    return api


def _after() -> int:
    """The number of the last event that the client has."""
    number = request.headers.get("Last-Event-ID") or request.args.get("after") or "0"
    if not number.isdecimal() or len(number) > 9:
        raise InvalidRequest(f"Last-Event-ID: should be the `id` of an event, a whole number, got {number[:20]!r}")
    return int(number)


def _status(job: Record, chunks: list[Chunk]) -> dict[str, Any]:
    """What is known of a job, with its answer so far."""
    end = chunks[-1].end if chunks else None
    status: dict[str, Any] = {
        "id": job.id,
        "object": "job",
        "model": job.model,
        "state": end.state if end else job.state,
        "created": job.created,
        "attempt": job.attempt,
        "number": len(chunks),
        "finish_reason": end.finish_reason if end else None,
        "usage": asdict(end.usage) if end else None,
        "error": error_body(end.failure)["error"] if end and end.failure else None,
    }
    return status | (_pictures(chunks) if job.kind == "image" else {"text": views.text(chunks)})


def _pictures(chunks: list[Chunk]) -> dict[str, Any]:
    images = views.images(chunks)
    latest = next((image for image in reversed(images) if image.steps), None)
    return {
        "step": latest.step if latest else 0,
        "steps": latest.steps if latest else None,
        "data": [asdict(picture) for image in images for picture in image.data],
    }
