"""A request's id: in every HTTP response, and in the log's line of its job. Around hops 1 and 8.

And when it came, and the traceparent that its client sent: its trace begins with them.
"""

import re
import time
import uuid
from contextvars import ContextVar

from shared import log

HEADER = "X-Request-Id"

_came: ContextVar[tuple[float, str]] = ContextVar("came", default=(0.0, ""))


def begin(wish: str | None = None, parent: str | None = None) -> None:
    """From now on this greenlet serves another request: of the id that its client wishes, if that can stand in
    a line of a log, or of a new one. `parent` is its client's traceparent.
    """
    safe = wish is not None and re.fullmatch(r"[A-Za-z0-9._:/+=@-]{1,128}", wish)
    log.about.set({"request": wish if wish and safe else f"req_{uuid.uuid4().hex}"})
    _came.set((time.time(), (parent or "")[:64]))


def current() -> str:
    """The id of the request that this greenlet serves; "-" where none is."""
    return log.about.get().get("request", "-")


def begun() -> float:
    """When it came, as a Unix time."""
    return _came.get()[0] or time.time()


def parent() -> str:
    """Its client's traceparent; "" if it sent none."""
    return _came.get()[1]
