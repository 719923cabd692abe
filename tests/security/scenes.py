"""Surroundings in which every command can run: others' servers, what is asked of people, and a furnished community."""

import json
import logging
import re
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
import typer
import yaml
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from flows import metrics_cli, screens
from flows.discreet_spans import DiscreetExporter
from pipelines import traced
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.demo_community import registry_json
from tests.flows.places import Place
from tests.security.commands import Steps
from tests.security.listeners import Heard, Listener, Says
from tests.security.planted import SECRETS, SWITCH, echoing_file

Command = Callable[..., tuple[int, str]]
PREFECT, PREFECT_URL, OTEL = "pl4nt-prefect-4c1d", "pl4nt-proxy-99ab", "pl4nt-otel-77e1"
CODE = "pl4nt-code-0b6f"
MORE = {
    "the key of Prefect's server": PREFECT,
    "the password in its address": PREFECT_URL,
    "the collector's key": OTEL,
    "the address of the dead man's switch": SWITCH,
    "a vendor's code": CODE,
}
EACH = SECRETS | MORE

LOGS = ("httpx", "httpcore", "aiohttp", "websockets", "slotfeed")
"""That everything is written into, as somebody makes them who looks for a fault."""


class Collector:
    """Gets the spans as OTLP, behind a key; a fresh provider in the place where spans are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
        self.listener = listener
        exporter = OTLPSpanExporter(endpoint=f"{listener.url}/v1/traces", headers={"api-key": OTEL})
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(DiscreetExporter(exporter)))
        monkeypatch.setattr(traced.trace, "get_tracer", self.provider.get_tracer)

    def payloads(self) -> bytes:
        self.provider.shutdown()
        assert all(heard.headers["api-key"] == OTEL for heard in self.listener.heard)
        return b"".join(heard.body for heard in self.listener.heard)


def prefect_s(heard: Heard) -> Says:
    """As much of Prefect's server as commands ask for: one block, and no deployments."""
    if heard.path.endswith("/health"):
        return Says(body=b"true")
    if "/block_documents/name/" in heard.path:
        ids = {name: str(uuid4()) for name in ("id", "block_schema_id", "block_type_id")}
        return Says(body=json.dumps({"name": "ops", "data": {}, **ids}).encode())
    return Says(body=b"[]") if heard.path.endswith("/deployments/filter") else Says(status=422)


def echoes(heard: Heard) -> Says:
    """Refuses, and sends back the request as JSON and whole."""
    return Says(
        status=401, body=json.dumps({"detail": heard.whole}).encode(), headers={"Content-Type": "application/json"}
    )


def run_all(
    slotfeed: Command, steps: Steps, *, before: Callable[[str], dict[str, str]] = lambda _: {}
) -> dict[str, str]:
    """What each printed, by what was typed; an error that nobody caught is printed as Python prints it."""
    told, wrong = {}, {}
    for command, more, status in steps:
        known = before(command)
        for name in LOGS:
            logging.getLogger(name).setLevel(logging.DEBUG)
        typed = " ".join(["slotfeed", command, *more])
        try:
            ended, told[typed] = slotfeed(*command.split(), *(known.get(one, one) for one in more))
        except Exception:  # noqa: BLE001 - what nobody caught is what is looked through
            ended, told[typed] = -1, traceback.format_exc()
        if ended != status:
            wrong[typed] = f"{ended} instead of {status}: {told[typed][-1500:]}"
    assert not wrong, "\n\n".join(f"{typed}: {what}" for typed, what in wrong.items())
    return told


def once_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """`metrics serve` is asked once, and then stopped as by Ctrl-C."""
    printed = screens.out.print

    def ask(*texts: Any, **how: Any) -> None:
        printed(*texts, **how)
        if found := re.search(r"http://127\.0\.0\.1:\d+/metrics", str(texts[0]) if texts else ""):
            printed(httpx.get(found[0]).text, markup=False)

    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(screens.out, "print", ask)
    monkeypatch.setattr(
        metrics_cli, "threading", SimpleNamespace(Event=lambda: SimpleNamespace(wait=stopped)), raising=True
    )


def move_to_clouds(place: Place, url: str) -> None:
    """One asset to each of two vendors: by key, and by OAuth."""
    content = yaml.safe_load(place.file.read_text())
    prefixes = {name: url + module.PREFIX for name, module in vendors().items()}
    content["sources"]["inexogy"] = {"type": "inexogy", "url": prefixes["inexogy"], "username": "planted-user"}
    content["sources"]["solaredge"] = {"type": "solaredge", "url": prefixes["solaredge"], "client_id": "planted-user"}
    moved: set[str] = set()
    for asset in content["assets"]:
        vendor, device, channel = assignments().get(asset["name"], ("", "", ""))
        if vendor in content["sources"] and vendor not in moved:
            asset["streams"] = [{"source": vendor, "device": device, "register": channel}]
            moved.add(vendor)
    place.file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert moved == {"inexogy", "solaredge"}


def agrees(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The account's owner opens the address that is shown, and types in the code; returns the codes."""
    shown: list[str] = []
    codes: list[str] = []
    original = screens.out.print

    def note(*texts: Any, **how: Any) -> None:
        shown.extend(str(text) for text in texts)
        original(*texts, **how)

    def type_in(*_: Any, hide_input: bool, **__: Any) -> str:
        assert hide_input
        address = next(text.strip() for text in shown if "client_id=" in text)
        page = httpx.get(f"{address}&site_id={assignments()['PV 1'][1]}").text
        back, code = re.search(r"https://app\.example\S+?(?=<)", page), re.search(r"<code>([^<]+)</code>", page)
        assert back is not None
        assert code is not None
        codes.append(code[1])
        return back[0].replace("&amp;", "&")

    monkeypatch.setattr(screens.out, "print", note)
    monkeypatch.setattr(typer, "prompt", type_in)
    return codes


def furnish(place: Place, database: str, clouds: str) -> None:
    """All that commands work with: two vendors, fees, a download, files of a second community, a folder of metrics."""
    place.write_file(protocol="batch", database=database)
    move_to_clouds(place, clouds)
    content = yaml.safe_load(place.file.read_text())
    content["grid_fees"] = [{"market": "Grid", "uuid": registry_json()["registry"]["uuid"], "cents_per_kwh": 2.5}]
    content["retention"] = {"readings_days": 120, "submissions_days": 120}
    place.file.write_text(yaml.safe_dump(content, sort_keys=False))
    small = content | {"database": "sqlite:///small-store.sqlite"}
    (place.folder / "small.yaml").write_text(yaml.safe_dump(small, sort_keys=False))
    (place.folder / "metrics").mkdir()
    with zipfile.ZipFile(place.folder / "results.zip", "w") as archive:
        leaf = {"Flat": {"trade_energy_kWh": {"2016-10-30T00:00": 0.5}}}
        archive.writestr("aggregated_results/asset_statistics.json", json.dumps(leaf))


def write_echoing(folder: Path, url: str, database: str) -> None:
    content = yaml.safe_load(echoing_file(url, protocol="sdk"))
    content["grid_fees"] = [{"market": "Grid", "uuid": str(uuid4()), "cents_per_kwh": 2.5}]
    (folder / "community.yaml").write_text(yaml.safe_dump({**content, "database": database}, sort_keys=False))
