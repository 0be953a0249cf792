"""An attempt's part of its request's trace: hops 4 to 6."""

import time

from shared import tracing
from shared.messages import Job


class Trace:
    """Moments of an attempt. The job log (hop 6) is written while the engine (hop 5) runs, and a little longer."""

    def __init__(self, job: Job, attempt: int) -> None:
        self._parent = job.trace
        self._about: dict[str, str | int | float] = {
            "crofai.job.id": job.id,
            "gen_ai.request.model": job.model,
            "crofai.attempt": attempt,
        }
        self._begun = time.time()

    def made(self, tokens: int) -> None:
        """The engine has done its part, of so many tokens."""
        tracing.hop(self._parent, 5, self._begun, time.time(), self._about | {"crofai.tokens": tokens})

    def end(self, state: str, chunks: int) -> None:
        """All is in the log: so many chunks, and how it ended."""
        now = time.time()
        tracing.hop(self._parent, 6, self._begun, now, self._about | {"crofai.chunks": chunks})
        tracing.hop(self._parent, 4, self._begun, now, self._about | {"crofai.state": state})
