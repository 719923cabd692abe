"""Takes the words of errors out of spans before they leave. Needs OpenTelemetry's SDK, which is an extra.

Prefect makes spans of its own for flow and task runs wherever a process has a provider, and puts each error there with
its words and its stack: these name assets, and may hold what a vendor said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

OURS = "slotfeed"
"""The spans that `pipelines.traced` makes; they carry no words to begin with."""


@dataclass
class DiscreetExporter(SpanExporter):
    """Hands on what another exporter is to send."""

    inner: SpanExporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans, those of others without their events and without the words of their status."""
        return self.inner.export([one if _is_ours(one) else _without_words(one) for one in spans])

    def shutdown(self) -> None:
        """As the inner one does."""
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the inner one does."""
        return self.inner.force_flush(timeout_millis)


def _is_ours(one: ReadableSpan) -> bool:
    return one.instrumentation_scope is not None and one.instrumentation_scope.name == OURS


def _without_words(one: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=one.name,
        context=one.context,
        parent=one.parent,
        resource=one.resource,
        attributes=one.attributes,
        links=one.links,
        kind=one.kind,
        instrumentation_scope=one.instrumentation_scope,
        status=Status(one.status.status_code),
        start_time=one.start_time,
        end_time=one.end_time,
    )
