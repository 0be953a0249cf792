"""The jobs that were given up, for admins: /v1/admin/dead-letters.

Without their requests, which are for nobody else to read; who has Redis sees them with `crofai jobs show`.
"""

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify

from gateway.api.query import Page, query
from gateway.api.requests import admin_holder
from gateway.auth import Keyring
from gateway.bodies.shapes import refusal
from gateway.outages import reaching_queue
from gateway.retries import Retries
from shared.errors import NotFound
from shared.messages import DeadLetter


def dead_letters_api(keyring: Keyring, retries: Retries) -> Blueprint:
    api = Blueprint("dead_letters", __name__)
    letters = retries.letters

    @api.get("/v1/admin/dead-letters")
    def list_letters() -> Response:
        admin_holder(keyring)
        page = Page.of(query("limit", "after"))
        with reaching_queue():
            found = _page(letters.each(), page)
        return jsonify(page.listed(found))

    @api.post("/v1/admin/dead-letters/<letter_id>/retry")
    def retry(letter_id: str) -> Response:
        admin_holder(keyring)
        query()
        with reaching_queue():
            job = retries.again(letter_id)
        if job is None:
            raise _unknown(letter_id)
        return jsonify(object="dead_letter.retried", id=letter_id, job=job)

    @api.delete("/v1/admin/dead-letters/<letter_id>")
    def drop(letter_id: str) -> Response:
        admin_holder(keyring)
        query()
        with reaching_queue():
            if not letters.drop(letter_id):
                raise _unknown(letter_id)
        return jsonify(object="dead_letter.dropped", id=letter_id)

    return api


def _page(letters: Iterator[DeadLetter], page: Page) -> list[dict[str, Any]]:
    """Up to one more than the page has. Raises InvalidRequest if there is none that it is to follow."""
    if page.after is not None and not any(letter.job.id == page.after for letter in letters):
        raise refusal("after", f"should be the last_id of a page of this list, got {page.after[:80]!r}")
    found = []
    for letter in letters:
        found.append(_told(letter))
        if len(found) > page.limit:
            break
    return found


def _unknown(letter_id: str) -> NotFound:
    return NotFound(f"No job '{letter_id[:80]}' was given up.")


def _told(letter: DeadLetter) -> dict[str, Any]:
    job = letter.job
    return {
        "id": job.id,
        "object": "dead_letter",
        "model": job.model,
        "kind": job.kind,
        "account": job.account,
        "tier": job.tier,
        "created": job.created,
        "died": letter.died,
        "reason": letter.reason,
    }
