"""A request's id: in every HTTP response, and in the log's line of its job. Around hops 1 and 8."""

import re
import uuid
from contextvars import ContextVar

HEADER = "X-Request-Id"

_current: ContextVar[str] = ContextVar("request_id", default="-")


def begin(wish: str | None = None) -> None:
    """From now on this greenlet serves another request: of the id that its client wishes, if that can stand in
    a line of a log, or of a new one.
    """
    safe = wish is not None and re.fullmatch(r"[A-Za-z0-9._:/+=@-]{1,128}", wish)
    _current.set(wish if wish and safe else f"req_{uuid.uuid4().hex}")


def current() -> str:
    """The id of the request that this greenlet serves; "-" where none is."""
    return _current.get()
