"""Logging: one line an event, levels and names aligned, to standard error. No API key is in any line."""

import logging
import re
import sys

_KEY = re.compile(r"(sk-crof-)[\w-]+")  # the prefix is that of shared/key_format.py


def configure(level: str) -> None:
    """Set up the root logger. Libraries speak from WARNING up, our own packages from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Masking("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("gateway", "workers", "shared"):
        logging.getLogger(name).setLevel(level.upper())


class Masking(logging.Formatter):
    """Nothing of ours says a key; what a library or a client says, in a message or a traceback, may have one."""

    def format(self, record: logging.LogRecord) -> str:
        return _KEY.sub(r"\1***", super().format(record))
