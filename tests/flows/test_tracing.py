"""Spans of a run: what they tell, what they don't, and that they leave by OTLP where the environment says so."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id
from sqlalchemy import select

from flows import tracing
from flows.discreet_spans import DiscreetExporter
from flows.tracing import start_tracing, wanted
from pipelines import traced
from pipelines.store import RunRow, table_of
from pipelines.traced import carried, span
from tests.flows.places import FIRST_RUN, PASSWORD, Place

Command = Callable[..., tuple[int, str]]
AT = FIRST_RUN.isoformat()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """All spans of the test. OpenTelemetry's provider can be set once in a process, so it is put where it is asked."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traced.trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def tree(finished: tuple[ReadableSpan, ...]) -> list[tuple[str, str]]:
    """(name, its parent's name), sorted."""
    names = {one.context.span_id: one.name for one in finished if one.context}
    return sorted((one.name, names[one.parent.span_id] if one.parent else "") for one in finished)


def test_a_feed_is_a_trace_of_its_steps_and_sources(
    place: Place, slotfeed: Command, spans: InMemorySpanExporter
) -> None:
    text = place.file.read_text()
    # One of the three sources is away.
    start = text.index("  inverters:")
    place.file.write_text(text[:start] + text[start:].replace("sqlite:///meters.sqlite", "sqlite:///away.sqlite", 1))
    elsewhere = sum(asset.streams[0].source != "inverters" for asset in place.community.assets)
    assert slotfeed("feed", "--at", AT)[0] == 1
    finished = spans.get_finished_spans()
    assert tree(finished) == [
        ("collect", "feed"),
        ("collect source", "collect"),
        ("collect source", "collect"),
        ("collect source", "collect"),
        ("convert", "feed"),
        ("deliver", "feed"),
        ("feed", ""),
        ("plan", "convert"),
        ("validate", "feed"),
    ]
    by_name = {one.name: one for one in finished}
    assert (by_name["deliver"].attributes or {})["slotfeed.accepted"] == elsewhere
    assert (by_name["feed"].attributes or {})["slotfeed.community"] == "LV1.111 community"
    sources = {(one.attributes or {})["slotfeed.source"]: one for one in finished if one.name == "collect source"}
    assert {name: one.status.status_code for name, one in sources.items()} == {
        "smart_meters": StatusCode.UNSET,
        "gateway": StatusCode.UNSET,
        "inverters": StatusCode.ERROR,
    }
    assert sources["inverters"].status.description == "SourceUnavailable"

    # Counts and names alone: no energy, no error's words, no address, no secret, and no asset.
    values = [value for one in finished for value in (one.attributes or {}).values()]
    assert {type(value) for value in values} == {int, str}
    with place.store() as store, store.reading() as connection:
        row = table_of(RunRow).c
        run_id, summary = connection.execute(select(row.run_id, row.summary)).tuples().one()
    allowed = {"LV1.111 community", run_id, "smart_meters", "gateway", "inverters"}
    assert {value for value in values if isinstance(value, str)} == allowed
    assert all(not one.events for one in finished)
    assert PASSWORD not in "".join(one.to_json() for one in finished)

    # The run's line in the log leads to its trace.
    [feed] = [one for one in finished if one.name == "feed"]
    assert feed.context is not None
    assert summary["trace_id"] == format_trace_id(feed.context.trace_id)
    assert set(summary["stages_s"]) == {"collect", "validate", "convert", "deliver"}


def test_an_error_leaves_its_kind_and_not_its_words(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="of Mrs Smith"), span("outer"), span("inner", source="s"):
        raise ValueError("the reading of Mrs Smith")
    inner, outer = spans.get_finished_spans()
    assert (inner.status.status_code, inner.status.description) == (StatusCode.ERROR, "ValueError")
    assert (outer.name, outer.status.description) == ("outer", "ValueError")
    assert "Smith" not in inner.to_json() + outer.to_json()


def test_prefects_own_spans_leave_without_the_words_of_errors() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(DiscreetExporter(kept)))
    with provider.get_tracer("prefect").start_as_current_span("deliver-2c1") as outer:
        outer.set_attribute("prefect.run.type", "task")
        outer.record_exception(ValueError("the reading of Mrs Smith"))
        outer.add_event("Failed", {"prefect.state.message": "the reading of Mrs Smith"})
        outer.set_status(StatusCode.ERROR, "the reading of Mrs Smith")
        with provider.get_tracer("slotfeed").start_as_current_span("deliver") as inner:
            inner.set_status(StatusCode.ERROR, "ExchangeUnavailable")
    provider.shutdown()
    ours, prefects = kept.get_finished_spans()
    assert (ours.name, ours.status.description) == ("deliver", "ExchangeUnavailable")
    assert tree((ours, prefects)) == [("deliver", "deliver-2c1"), ("deliver-2c1", "")]
    assert (prefects.status.status_code, dict(prefects.attributes or {})) == (
        StatusCode.ERROR,
        {"prefect.run.type": "task"},
    )
    assert "Smith" not in prefects.to_json()


def test_a_function_takes_its_span_into_other_threads(spans: InMemorySpanExporter) -> None:
    def work() -> None:
        with span("work"):
            pass

    with span("outer"):
        threads = [threading.Thread(target=carried(work)), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
        thread.join()
    assert tree(spans.get_finished_spans()) == [("outer", ""), ("work", ""), ("work", "outer")]


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, ""),
        ({"OTEL_SERVICE_NAME": "slotfeed"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ""),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ""),
    ],
)
def test_traces_are_off_unless_they_are_asked_for(environment: dict[str, str], exporter: str) -> None:
    assert wanted(environment) == exporter


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin'; known: otlp, console, none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "not 'grpc'"),
    ],
)
def test_what_cannot_be_had_is_told_and_stops_nothing(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING, logger="slotfeed"):
        assert not start_tracing()
    assert told in caplog.text


def test_without_the_extra_it_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.WARNING, logger="slotfeed"):
        assert not start_tracing()
    assert "slotfeed[otel]" in caplog.text


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A receiver of OTLP over HTTP: its address, and what came."""
    came: list[tuple[str, bytes]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


PROGRAM = """
import logging, sys
sys.argv = ["slotfeed", "watch"]
from flows import cli
from flows.tracing import start_tracing
from pipelines.traced import span
assert start_tracing()
logging.basicConfig(level=logging.INFO, format="%(message)s trace=%(otelTraceID)s")
with span("outside"):
    logging.getLogger("slotfeed").info("written inside")
logging.getLogger("slotfeed").info("written outside")
cli.main()
"""


def test_a_run_sends_its_spans_before_its_process_ends(
    place: Place, collector: tuple[str, list[tuple[str, bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, came = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "slotfeed-east")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=place.folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path for path, _ in came} == {"/v1/traces"}
    received = [ExportTraceServiceRequest.FromString(body) for _, body in came]
    services = {
        attribute.value.string_value
        for request in received
        for part in request.resource_spans
        for attribute in part.resource.attributes
        if attribute.key == "service.name"
    }
    assert services == {"slotfeed-east"}
    found = {
        one.name: one
        for request in received
        for part in request.resource_spans
        for scope in part.scope_spans
        for one in scope.spans
    }
    assert {"outside", "watch", "look", "tell_people", "vouch"} <= set(found)
    assert {found[name].trace_id for name in ("look", "tell_people", "vouch")} == {found["watch"].trace_id}
    # Log records carry the ids of the span that they are written in.
    assert f"written inside trace={found['outside'].trace_id.hex()}" in done.stderr
    assert "written outside trace=0" in done.stderr


def test_ids_are_of_the_trace_that_stands(spans: InMemorySpanExporter) -> None:
    assert tracing.trace_id() == ""
    with span("one") as opened:
        assert tracing.trace_id() == format_trace_id(opened.get_span_context().trace_id)
    assert trace.get_current_span().get_span_context().is_valid is False
