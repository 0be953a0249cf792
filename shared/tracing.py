"""Traces for OpenTelemetry, if CROFAI_OTLP_ENDPOINT names a collector: a span of its own for each of the 8 hops.

A request's root span is begun when it comes; its context travels with the job. What lies between is noted as
moments, and becomes spans once it is over, so that nothing is measured on a token's way.
"""

import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HOPS = {
    1: ("api", SpanKind.INTERNAL),
    2: ("admission", SpanKind.INTERNAL),
    3: ("enqueue", SpanKind.PRODUCER),
    4: ("task", SpanKind.CONSUMER),
    5: ("engine", SpanKind.INTERNAL),
    6: ("job log", SpanKind.INTERNAL),
    7: ("relay", SpanKind.INTERNAL),
    8: ("reply", SpanKind.INTERNAL),
}
"""As docs/architecture.md numbers them."""

LAST = 3.0  # seconds at the end of a process, for spans that have not been sent

Attributes = Mapping[str, str | int | float]

_propagator = TraceContextTextMapPropagator()


class _Switch:
    on = False


def configure(endpoint: str, service: str) -> None:
    """Send spans of this process, a `service`, to an OTLP collector's HTTP address, if there is one."""
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    _Switch.on = True


def is_on() -> bool:
    """Whether spans are sent at all."""
    return _Switch.on


def settle() -> None:
    """Send what has not been sent yet, within LAST seconds: a collector that does not answer is not waited for."""
    if _Switch.on:
        provider: Any = trace.get_tracer_provider()
        sending = threading.Thread(target=provider.shutdown, daemon=True)
        sending.start()
        sending.join(LAST)


def begin(name: str, parent: str, at: float) -> Span:
    """A request's root span, begun `at` that Unix time; `parent` is its client's traceparent, or ""."""
    return _tracer().start_span(name, _context(parent), SpanKind.SERVER, start_time=_nanoseconds(at))


def traceparent(span: Span) -> str:
    """What travels with a job, as W3C has it."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(span))
    return carrier.get("traceparent", "")


def hop(parent: str, number: int, begun: float, ended: float, attributes: Attributes | None = None) -> None:
    """One hop that is over, between these Unix times, of the request whose traceparent this is."""
    if not (_Switch.on and parent):
        return
    name, kind = HOPS[number]
    given = {"crofai.hop": number, **(attributes or {})}
    span = _tracer().start_span(f"{number} {name}", _context(parent), kind, given, start_time=_nanoseconds(begun))
    span.end(_nanoseconds(max(begun, ended)))


def fail(span: Span, code: str, message: str) -> None:
    """The request came to no good end; `code` is its error's."""
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, message))


def _tracer() -> trace.Tracer:
    return trace.get_tracer("crofai")


def _context(parent: str) -> Any:
    return (
        _propagator.extract({"traceparent": parent}) if parent else trace.set_span_in_context(trace.INVALID_SPAN)
    )


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
