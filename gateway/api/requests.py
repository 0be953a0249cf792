"""What every dialect reads from an HTTP request: the key, what its client is like, and a JSON body. Hop 1."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from flask import request

from gateway import scopes
from gateway.addresses import client_address
from gateway.admission import MOST_GRACE, Answer, Client
from gateway.auth import Keyring
from gateway.bodies import model_name, parse_json
from gateway.http import PRESENCE
from gateway.idempotency import Idempotency
from shared.accounts import Holder
from shared.catalog import Catalog, Model
from shared.errors import AdminRequired, BodyTooLarge, InvalidKey, InvalidRequest, UnsupportedMedia
from shared.messages import Kind
from shared.tiers import Tiers

BodyOf = Callable[[Model, dict[str, Any]], dict[str, Any]]
"""What a job gets of a request to this model. Raises InvalidRequest."""


@dataclass(frozen=True)
class Desk:
    """Takes requests for jobs, of any dialect. A job has `job_timeout` seconds at most.

    A request's body is held here alone: what is returned has let go of it, and may take long.
    """

    catalog: Catalog
    tiers: Tiers
    keyring: Keyring
    jobs: Idempotency
    job_timeout: float

    def ask(self, body_of: BodyOf, kind: Kind | None = None) -> tuple[AbstractContextManager[Answer], bool]:
        """The answer to a request whose body names its model, and whether it is to be streamed."""
        holder = key_holder(self.keyring)
        data = json_body()
        model = self.catalog.find(model_name(data.get("model")))
        tier = scopes.usual_tier(holder, self.tiers)
        scopes.check(holder, self.tiers, tier, model)
        body = body_of(model, data)
        answering = self._submit(holder, tier, model, body, waiting_client(), kind)
        return answering, bool(data.get("stream"))

    def ask_at(self, tier: str, name: str, body_of: BodyOf) -> AbstractContextManager[Answer]:
        """The answer to a request whose address names its tier and its model."""
        holder = key_holder(self.keyring)
        model = self.catalog.find(name)
        scopes.check(holder, self.tiers, tier, model)
        return self._submit(holder, tier, model, body_of(model, json_body()), leaving_client())

    def _submit(
        self,
        holder: Holder,
        tier: str,
        model: Model,
        body: dict[str, Any],
        client: Client,
        kind: Kind | None = None,
    ) -> AbstractContextManager[Answer]:
        body = scopes.bounded(self.tiers, tier, model, body)
        client = replace(client, timeout=_timeout(self.job_timeout))
        return self.jobs.submit(idempotency_key(), holder, tier, model, body, client, kind)


def key_holder(keyring: Keyring) -> Holder:
    """Who sent the request. Raises InvalidKey, and what else Keyring.holder does."""
    return keyring.holder(api_key(), client_address(request.environ))


def admin_holder(keyring: Keyring) -> Holder:
    """The same, of a request that is for admins. Raises AdminRequired, too."""
    holder = key_holder(keyring)
    if not holder.admin:
        raise AdminRequired
    return holder


def api_key() -> str:
    """The key in X-API-Key, or in Authorization: Bearer. Raises InvalidKey if there is none."""
    if key := request.headers.get("X-API-Key", "").strip():
        return key
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    raise InvalidKey("No API key: send it in the X-API-Key header, or as Authorization: Bearer.")


def idempotency_key() -> str | None:
    return request.headers.get("Idempotency-Key")


def leaving_client() -> Client:
    """A client of this request that does not come back."""
    return Client(presence=request.environ[PRESENCE])


def waiting_client() -> Client:
    """A client of this request that says how long it may stay away: `X-Resume-Within: 30`, in seconds."""
    within = request.headers.get("X-Resume-Within", "0")
    seconds = whole_number("X-Resume-Within", within, f"whole seconds up to {MOST_GRACE}", MOST_GRACE)
    return replace(leaving_client(), grace=float(seconds))


def whole_number(header: str, said: str, takes: str, most: int = 999_999_999) -> int:
    """The number that a header says, from 0 to `most`. Raises InvalidRequest, which says what the header takes."""
    if not re.fullmatch("[0-9]{1,9}", said) or int(said) > most:
        raise InvalidRequest(f"{header}: should be {takes}, got {said[:20]!r}")
    return int(said)


def _timeout(most: float) -> float | None:
    """What a request says of its job's time: `X-Request-Timeout: 30`, in seconds."""
    seconds = request.headers.get("X-Request-Timeout")
    if seconds is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", seconds) or not 1 <= float(seconds) <= most:
        raise InvalidRequest(f"X-Request-Timeout: should be seconds from 1 to {most:g}, got {seconds[:20]!r}")
    return float(seconds)


def json_body() -> dict[str, Any]:
    """The body. Raises UnsupportedMedia, BodyTooLarge or InvalidRequest."""
    if not request.is_json:
        raise UnsupportedMedia
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMedia("Content-Encoding: compressed bodies are not read; send the body as it is.")
    most = request.max_content_length
    assert most is not None
    # A body that is sent in parts does not tell its length, and werkzeug cuts it at the bound without a word.
    request.max_content_length = most + 1
    data = request.get_data(cache=False)  # it would be kept for as long as the answer takes
    if len(data) > most:
        raise BodyTooLarge(f"The body may have {most} bytes.")
    return parse_json(data)
