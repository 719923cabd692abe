"""Traces of runs: sent where the standard OTEL_* variables say so, and nothing at all where they don't.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318    a collector (OTLP over HTTP)
    OTEL_TRACES_EXPORTER=otlp | console | none           console: on stderr; none: off whatever else is set
    OTEL_SDK_DISABLED=true                               off

Whatever else the SDK reads (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, the headers and
certificates of the exporter, OTEL_BSP_*) means here what it means elsewhere. A process that has a provider already, as
under `opentelemetry-instrument`, keeps that.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import format_span_id, format_trace_id

log = logging.getLogger("slotfeed")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"

PATIENCE_S = 5.0
"""How long the end of a process waits for its last spans to leave, where OTEL_EXPORTER_OTLP_TIMEOUT doesn't say. Ours:
a collector that is away costs no more than that."""

PATIENCE = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")

NO_TRACE = "0"


def wanted(environment: Mapping[str, str]) -> str:
    """The exporter that the environment asks for: otlp, console, or "" where it asks for none."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if named:
        return "" if named == "none" else named
    return "otlp" if any(environment.get(name) for name in ENDPOINTS) else ""


def start_tracing() -> bool:
    """Set up what the environment asks for, once in a process; whether this process sends spans.

    They leave by a thread of the SDK's, the last when the process ends: no run waits for a collector.
    What is asked for and can't be had is logged, and the run goes on without: a trace is no reason to miss a slot.
    """
    exporter = wanted(os.environ)
    if not exporter:
        return False
    if _is_real(trace.get_tracer_provider()):
        return True
    try:
        provider = _provider(exporter)
    except ImportError:
        log.warning("OTEL_* asks for traces; install the extra: pip install 'slotfeed[otel]'")
        return False
    except ValueError as error:
        log.warning("No traces: %s", error)
        return False
    trace.set_tracer_provider(provider)
    _name_traces_in_logs()
    return True


def trace_id() -> str:
    """Of the trace that stands, in hex; "" where there is none."""
    context = trace.get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else ""


def _is_real(provider: object) -> bool:
    return hasattr(provider, "add_span_processor")


def _provider(exporter: str) -> Any:  # noqa: ANN401 - the SDK may be absent
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415 - an extra
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SimpleSpanProcessor,
    )

    from flows.discreet_spans import DiscreetExporter  # noqa: PLC0415 - needs the extra

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "slotfeed"})
    provider = TracerProvider(resource=resource)
    if exporter == "console":
        provider.add_span_processor(SimpleSpanProcessor(DiscreetExporter(ConsoleSpanExporter(out=sys.stderr))))
        return provider
    if exporter != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER is '{exporter}'; known: otlp, console, none")
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), HTTP)
    if protocol != HTTP:
        raise ValueError(f"slotfeed sends OTLP by {HTTP}, not '{protocol}'; opentelemetry-instrument knows others")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra

    patience_s = None if any(os.environ.get(name) for name in PATIENCE) else PATIENCE_S
    provider.add_span_processor(BatchSpanProcessor(DiscreetExporter(OTLPSpanExporter(timeout=patience_s))))
    return provider


def _name_traces_in_logs() -> None:
    """Every log record gets the ids of the span it was written in, under the names that OpenTelemetry's logging uses.

    A format may then hold %(otelTraceID)s and %(otelSpanID)s, Prefect's too (PREFECT_LOGGING_FORMATTERS_...).
    """
    before = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - as the factory before
        record = before(*args, **kwargs)
        context = trace.get_current_span().get_span_context()
        record.otelTraceID = format_trace_id(context.trace_id) if context.is_valid else NO_TRACE
        record.otelSpanID = format_span_id(context.span_id) if context.is_valid else NO_TRACE
        return record

    logging.setLogRecordFactory(made)
