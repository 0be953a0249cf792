"""Jobs by their id: what has become of one, its answer from any point on, and its end. Hops 1 and 8.

The id of an answer is in its header X-Job-Id. A stream asked for with X-Resume-Within (seconds the client may stay
away) has the number of each event in the event's `id`, as these events always have.
Only the account that sent a request sees its job, through any gateway.
"""

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, jsonify, request
from msgspec.structs import asdict

from gateway import views
from gateway.admission import Admission
from gateway.api.errors import error_body
from gateway.api.requests import key_holder, waiting_client, whole_number
from gateway.api.streams import stream
from gateway.auth import Keyring
from shared.joblog import Record
from shared.messages import Chunk


def jobs_api(keyring: Keyring, admission: Admission) -> Blueprint:
    api = Blueprint("jobs", __name__)

    @api.get("/v1/jobs/<job_id>")
    def one(job_id: str) -> Response:
        return jsonify(status(admission.find(key_holder(keyring), job_id)))

    @api.get("/v1/jobs/<job_id>/events")
    def events(job_id: str) -> Response:
        holder = key_holder(keyring)
        return stream(admission.resume(holder, job_id, _after(), waiting_client()))

    @api.delete("/v1/jobs/<job_id>")
    def cancel(job_id: str) -> Response:
        holder = key_holder(keyring)
        admission.cancel(admission.find(holder, job_id))
        return jsonify(status(admission.find(holder, job_id)))

    def status(job: Record) -> dict[str, Any]:
        place = admission.places.place(job) if job.state == "queued" else None
        return _status(job, admission.pages(job)) | {"waiting": place._asdict() if place else None}

    return api


def _after() -> int:
    """The number of the last event that the client has."""
    number = request.headers.get("Last-Event-ID") or request.args.get("after") or "0"
    return whole_number("Last-Event-ID", number, "the `id` of an event, a whole number")


def _status(job: Record, pages: Iterable[list[Chunk]]) -> dict[str, Any]:
    """What is known of a job, with its answer so far."""
    number, end = 0, None
    texts: list[str] = []
    images: list[views.ImageChunk] = []
    for chunks in pages:
        number += len(chunks)
        end = chunks[-1].end
        if job.kind == "image":
            images += views.images(chunks)
        else:
            texts.append(views.text(chunks))
    status: dict[str, Any] = {
        "id": job.id,
        "object": "job",
        "model": job.model,
        "state": end.state if end else job.state,
        "created": job.created,
        "attempt": job.attempt,
        "number": number,
        "finish_reason": end.finish_reason if end else None,
        "usage": asdict(end.usage) if end else None,
        "error": error_body(end.failure)["error"] if end and end.failure else None,
    }
    return status | (_pictures(images) if job.kind == "image" else {"text": "".join(texts)})


def _pictures(images: list[views.ImageChunk]) -> dict[str, Any]:
    latest = next((image for image in reversed(images) if image.steps), None)
    return {
        "step": latest.step if latest else 0,
        "steps": latest.steps if latest else None,
        "data": [asdict(picture) for image in images for picture in image.data],
    }
