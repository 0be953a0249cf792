"""A request's trace, as far as a gateway sees it: its root span, and hops 1 to 3, 7 and 8."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway import request_id
from gateway.metrics import OPERATIONS
from shared import tracing
from shared.errors import RequestError
from shared.messages import Kind

if TYPE_CHECKING:
    from gateway.admission import Answer


class Trace:
    """Moments of a request: it has come, is looked at (hop 2), is enqueued (hop 3), and is in the queue (hop 7).

    Where traces are not sent, `parent` is "" and nothing comes of it.
    """

    def __init__(self, model: str, kind: Kind) -> None:
        self.parent = ""
        self.answer: Answer | None = None
        self._moments = [request_id.begun(), time.time()]
        self._span = None
        if tracing.is_on():
            self._span = tracing.begin(f"{OPERATIONS[kind]} {model}", request_id.parent(), self._moments[0])
            self._span.set_attribute("gen_ai.operation.name", OPERATIONS[kind])
            self._span.set_attribute("gen_ai.request.model", model)
            self._span.set_attribute("crofai.request.id", request_id.current())
            self.parent = tracing.traceparent(self._span)

    def note(self) -> None:
        """The next of its moments has come."""
        self._moments.append(time.time())

    def end(self, error: BaseException | None) -> None:
        """All is over, well or not."""
        if self._span is None:
            return
        if isinstance(error, RequestError):
            tracing.fail(self._span, error.failure().code, str(error))
        for number in range(1, len(self._moments)):
            tracing.hop(self.parent, number, self._moments[number - 1], self._moments[number])
        if self.answer is not None and len(self._moments) == 4:
            self._tell_answer(self.answer, self._moments[-1])
        self._span.end()

    def _tell_answer(self, answer: "Answer", enqueued: float) -> None:
        now = time.time()
        timings = answer.timings
        first = answer.job.created + timings["ttft"] if "ttft" in timings else now
        tracing.hop(self.parent, 7, enqueued, now, {"crofai.chunks": answer.number})
        tracing.hop(self.parent, 8, first, now)
        if self._span is not None:
            self._span.set_attribute("crofai.job.id", answer.job.id)
            self._span.set_attribute("crofai.tier", answer.job.tier)
            if answer.end is not None:
                self._span.set_attribute("gen_ai.usage.input_tokens", answer.end.usage.prompt_tokens)
                self._span.set_attribute("gen_ai.usage.output_tokens", answer.end.usage.completion_tokens)


@contextmanager
def traced(model: str, kind: Kind) -> Iterator[Trace]:
    """The trace of a request for a model; it ends with the context."""
    trace, failure = Trace(model, kind), None
    try:
        yield trace
    except BaseException as error:
        failure = error
        raise
    finally:
        trace.end(failure)
