"""Logging: one line an event, levels and names aligned, to standard error."""

import logging
import sys


def configure(level: str) -> None:
    """Set up the root logger. Libraries speak from WARNING up, our own packages from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("gateway", "workers", "shared"):
        logging.getLogger(name).setLevel(level.upper())
