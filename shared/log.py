"""Logging: one line an event, to standard error, as text or as JSON. No API key is in any line."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

Format = Literal["text", "json"]

about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))
"""What is worked on in this greenlet or task, such as a request or a job, by its id: part of each line in JSON."""

_KEY = re.compile(r"(sk-crof-)[\w-]+")  # the prefix is that of shared/key_format.py


def configure(level: str, form: Format = "text") -> None:
    """Set up the root logger. Libraries speak from WARNING up, our own packages from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("gateway", "workers", "shared"):
        logging.getLogger(name).setLevel(level.upper())


class _Masking(logging.Formatter):
    """Nothing of ours says a key; what a library or a client says, in a message or a traceback, may have one."""

    def format(self, record: logging.LogRecord) -> str:
        return _KEY.sub(r"\1***", self.line(record))

    def line(self, record: logging.LogRecord) -> str:
        return super().format(record)


class _Text(_Masking):
    """Levels and names aligned."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")


class _Json(_Masking):
    """An object a line: time (UTC), level, logger, message, what it is about, and a traceback if there is one."""

    def line(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**about.get(), **event}, ensure_ascii=False)
