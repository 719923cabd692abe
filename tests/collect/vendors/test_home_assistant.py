"""Home Assistant's energy sensors: against the emulator, and against a websocket that says what a test tells it to."""

import contextlib
import itertools
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.sync.server import Server, ServerConnection, serve

from pipelines.collect.cloud import websocket
from pipelines.collect.source import ROWS
from pipelines.collect.vendors import home_assistant
from pipelines.errors import AccountStopped, AuthenticationError, SourceError, SourceUnavailable
from pipelines.sandbox.clouds.defects import Hole, Offline
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.sandbox.clouds.fleet import Fleet

SECRET = "hush-hush-4711"
CHARGER, PUMP = "sensor.ev_charger_16_energy", "sensor.heat_pump_14_energy"
MINUTES_5, QUARTER, HOUR = timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1)
FIRST = datetime(2016, 10, 28, 20, tzinfo=UTC)
LAST = datetime(2016, 10, 30, 23, tzinfo=UTC)
START = datetime(2026, 8, 24, tzinfo=UTC)
"""Of the recorded statistics: 1787529600000 ms."""


def told_wh(stage, sensor: str, start: datetime, end: datetime) -> float:
    """What the fleet's profile says of whole quarter hours."""
    unit = stage.world.fleet.unit("home_assistant", sensor)
    (energy_wh,) = unit.energy_wh.values()
    return sum(energy_wh[(start - FIRST) // QUARTER : (end - FIRST) // QUARTER])


def commands(stage) -> dict[str, int]:
    counts = stage.world.journal.counts().get("home_assistant", {})
    return {name.rpartition("/")[2]: number for name, number in counts.items() if name.startswith("COMMAND")}


def of(answer, sensor: str) -> pl.DataFrame:
    return answer.rows.filter(pl.col("meter") == sensor)


@dataclass
class Script:
    """A server that lets in whoever shows the token and answers commands by the test's word."""

    reply: Callable[[dict[str, Any]], list[str] | None]
    """Texts to send for a command; None closes the connection."""

    greeting: str = '{"type":"auth_required","ha_version":"2026.11.1"}'
    verdict: str = '{"type":"auth_ok","ha_version":"2026.11.1"}'
    instead: Response | None = None
    """HTTP answer in place of a websocket."""

    heard: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0

    def serve(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            connection.send(self.greeting)
            self.heard.append(json.loads(connection.recv()))
            connection.send(self.verdict)
            for text in connection:
                self.heard.append(json.loads(text))
                texts = self.reply(self.heard[-1])
                if texts is None:
                    return
                for each in texts:
                    connection.send(each)

    def before(self, _connection: ServerConnection, _request: object) -> Response | None:
        self.connections += 1
        return self.instead


@contextlib.contextmanager
def served(script: Script, **settings: Any) -> Iterator[str]:
    """The script behind a port; its URL."""
    server: Server = serve(script.serve, "127.0.0.1", 0, process_request=script.before, compression=None, **settings)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join()


def catalogue(*sensors: str, unit: str | None = "kWh", has_sum: bool = True) -> list[dict[str, Any]]:
    return [
        {"statistic_id": sensor, "has_sum": has_sum, "statistics_unit_of_measurement": unit, "name": None}
        for sensor in sensors
    ]


def answering(statistics: object, *sensors: str) -> Script:
    """A script that knows these sensors and always gives these statistics."""

    def reply(command: dict[str, Any]) -> list[str]:
        result = catalogue(*sensors) if command["type"] == "recorder/list_statistic_ids" else statistics
        return [json.dumps({"id": command["id"], "type": "result", "success": True, "result": result})]

    return Script(reply)


def row(number: int, change: object, total: object, **more: object) -> dict[str, object]:
    start = 1787529600000 + 300_000 * number
    return {"start": start, "end": start + 300_000, "change": change, "sum": total, **more}


def ask(stage, script: Script, *channels: tuple[str, str], start: datetime = START, span: timedelta = HOUR, **settings):
    stage.clock.set(start + span + timedelta(minutes=10))
    with served(script) as url, stage.open("home_assistant", url=url, **settings) as source:
        return stage.read(source, start, start + span, *(channels or [("sensor.a", "energy")]))


# What it reads


def test_a_day_of_all_sensors_is_the_fleets_energy_and_one_question(stage):
    start, end = datetime(2016, 10, 29, tzinfo=UTC), datetime(2016, 10, 30, tzinfo=UTC)
    stage.clock.set(end + HOUR)
    with stage.open("home_assistant") as source:
        stage.world.journal.clear()
        sensors = [unit.device for unit in stage.world.fleet.of("home_assistant")]
        answer = stage.read(source, start, end, *[(sensor, "energy") for sensor in sensors])
    assert answer.failed == {}
    assert answer.unknown == {}
    assert answer.rows.columns == list(ROWS)
    assert set(answer.rows["unit"]) == {"kWh"}
    assert set(answer.rows["register"]) == {"energy"}
    sums_wh = dict(answer.rows.group_by("meter").agg(pl.col("value").sum() * 1000).iter_rows())
    assert len(sensors) == 15
    assert sums_wh == pytest.approx({sensor: told_wh(stage, sensor, start, end) for sensor in sensors})
    assert any(sums_wh.values())
    assert commands(stage) == {"list_statistic_ids": 1, "statistics_during_period": 1}


def test_the_end_of_summer_time_has_every_five_minutes_once(stage):
    start, end = datetime(2016, 10, 30, tzinfo=UTC), datetime(2016, 10, 30, 3, tzinfo=UTC)
    energy_wh = [30.0 * number for number in range(16)]
    unit = stage.world.fleet.of("home_assistant")[0]
    stage.world.fleet = Fleet(
        {"home_assistant": (replace(unit, device="sensor.a", energy_wh={"consumption": energy_wh}, first=start),)}
    )
    stage.clock.set(end + HOUR)
    with stage.open("home_assistant") as source:
        rows = stage.read(source, start, end, ("sensor.a", "energy")).rows
    assert rows["stamp"].to_list() == [start + n * MINUTES_5 for n in range(36)]
    assert rows["stamp_end"].to_list() == [start + (n + 1) * MINUTES_5 for n in range(36)]
    assert rows["value"].to_list() == pytest.approx([0.01 * (n // 3) for n in range(36)])


def test_a_span_that_ends_in_the_window_belongs_to_it(stage):
    start = datetime(2016, 10, 29, 9, 2, tzinfo=UTC)
    with stage.open("home_assistant") as source:
        rows = of(stage.read(source, start, start + HOUR, (CHARGER, "energy")), CHARGER)
    assert rows["stamp"].min() == datetime(2016, 10, 29, 9, tzinfo=UTC)


def test_what_is_forgotten_in_five_minutes_is_read_in_hours_and_nothing_is_lost_or_doubled(stage):
    stage.clock.set(datetime(2016, 11, 8, 22, 7, tzinfo=UTC))  # five minutes are kept from 29 October, 22:10, on
    with stage.open("home_assistant", live=False) as source:
        rows = of(stage.read(source, FIRST, LAST, (PUMP, "energy"), (CHARGER, "energy")), PUMP)
    change = datetime(2016, 10, 29, 23, tzinfo=UTC)
    spans = rows.with_columns(span=pl.col("stamp_end") - pl.col("stamp"))
    assert set(spans.filter(pl.col("stamp") < change)["span"]) == {HOUR}
    assert set(spans.filter(pl.col("stamp") >= change)["span"]) == {MINUTES_5}
    assert rows["stamp"].to_list()[1:] == rows["stamp_end"].to_list()[:-1]
    assert rows["value"].sum() * 1000 == pytest.approx(told_wh(stage, PUMP, FIRST, LAST))


def test_long_ago_only_hours_are_left(stage):
    stage.clock.set(datetime(2016, 12, 1, tzinfo=UTC))
    start = datetime(2016, 10, 29, tzinfo=UTC)
    with stage.open("home_assistant", live=False) as source:
        rows = of(stage.read(source, start + MINUTES_5, start + 3 * HOUR, (PUMP, "energy")), PUMP)
    assert rows["stamp"].to_list() == [start + HOUR, start + 2 * HOUR], "none that begins before the window"
    assert rows["value"].sum() * 1000 == pytest.approx(told_wh(stage, PUMP, start + HOUR, start + 3 * HOUR))


@pytest.mark.parametrize("kind", [Hole, Offline])
def test_while_a_sensor_was_unavailable_there_is_no_row_and_then_all_in_one(stage, kind):
    start = datetime(2016, 10, 29, 8, tzinfo=UTC)
    gap = kind(what=kind.__name__.lower(), device=PUMP, start=start + 2 * QUARTER, end=start + 6 * QUARTER)
    stage.world.fleet.replace_defects([gap])
    stage.clock.set(start + 4 * HOUR)
    with stage.open("home_assistant") as source:
        rows = of(stage.read(source, start, start + 2 * HOUR, (PUMP, "energy")), PUMP)
    stamps = rows["stamp"].to_list()
    assert not [stamp for stamp in stamps if gap.start <= stamp < gap.end]
    lump_wh = 1000 * rows.row(stamps.index(gap.end), named=True)["value"]
    after_wh = told_wh(stage, PUMP, gap.end, gap.end + QUARTER) / 3
    assert lump_wh == pytest.approx(told_wh(stage, PUMP, gap.start, gap.end) + after_wh)
    assert rows["value"].sum() * 1000 == pytest.approx(told_wh(stage, PUMP, start, start + 2 * HOUR))


def test_in_the_gap_a_run_asks_for_no_hours_that_would_count_twice(stage):
    start = datetime(2016, 10, 29, 8, tzinfo=UTC)
    stage.world.fleet.replace_defects(
        [Hole(what="hole", device=PUMP, start=start + 2 * QUARTER, end=start + 8 * QUARTER)]
    )
    stage.clock.set(start + 3 * HOUR)
    with stage.open("home_assistant") as source:
        answer = stage.read(source, start + 2 * QUARTER, start + 7 * QUARTER, (PUMP, "energy"), (CHARGER, "energy"))
    assert of(answer, PUMP).is_empty()
    assert answer.failed == {}
    assert commands(stage)["statistics_during_period"] == 1


def test_many_sensors_are_asked_for_in_portions(stage, monkeypatch):
    start = datetime(2016, 10, 29, 8, tzinfo=UTC)
    channels = [(unit.device, "energy") for unit in stage.world.fleet.of("home_assistant")]
    with stage.open("home_assistant") as source:
        at_once = stage.read(source, start, start + HOUR, *channels).rows
        monkeypatch.setattr(home_assistant, "MOST_ROWS", 4 * 12)
        stage.world.journal.clear()
        portions = stage.read(source, start, start + HOUR, *channels).rows
    assert commands(stage)["statistics_during_period"] == 4, "15 sensors, 4 at a time"
    key = ["meter", "stamp"]
    assert portions.drop("order").sort(key).equals(at_once.drop("order").sort(key))


def test_devices_are_the_sensors_that_count_energy(stage):
    with stage.open("home_assistant") as source:
        devices = {device.device: device.registers for device in source.devices()}
    assert devices == {unit.device: ("energy",) for unit in stage.world.fleet.of("home_assistant")}
    assert "sensor.gas_consumed" not in devices


# What it makes of an answer


def test_recorded_answers(stage, recorded):
    def reply(command: dict[str, Any]) -> list[str]:
        name = "list_statistic_ids" if command["type"] == "recorder/list_statistic_ids" else "statistics"
        return [json.dumps({**json.loads(recorded(f"home_assistant/{name}.json")), "id": command["id"]})]

    script = Script(reply)
    answer = ask(stage, script, ("sensor.wallbox_energy", "energy"), ("sensor.heat_pump_energy", "energy"))
    assert answer.failed == {}
    assert of(answer, "sensor.wallbox_energy")["value"].to_list() == [0.05, 0.0625, 0.0]
    assert of(answer, "sensor.heat_pump_energy")["value"].to_list() == [0.125, None, 0.25]
    assert answer.rows["stamp"].min() == START
    assert script.heard[0] == {"type": "auth", "access_token": SECRET}
    asked = script.heard[2]
    assert asked["type"] == "recorder/statistics_during_period"
    assert (asked["period"], asked["units"]) == ("5minute", {"energy": "kWh"})
    assert datetime.fromisoformat(asked["start_time"]) == START
    assert datetime.fromisoformat(asked["end_time"]) == START + HOUR


def test_the_recorded_error(stage, recorded):
    def reply(command: dict[str, Any]) -> list[str]:
        return [json.dumps({**json.loads(recorded("home_assistant/error.json")), "id": command["id"]})]

    with pytest.raises(SourceError, match=r"source 'acc'.*Invalid start_time \(invalid_start_time\)"):
        ask(stage, Script(reply))


def test_nothing_is_never_zero_and_the_oldest_rows_whole_sum_is_nothing(stage):
    statistics = {
        "sensor.a": [
            row(0, 812.4, 812.4),
            row(1, None, 812.4),
            {k: v for k, v in row(2, 0, 0).items() if k != "change"},
        ],
        "sensor.b": [row(0, 0, 0), row(1, 0.5, 0.5), row(2, 0, 0.5)],
    }
    answer = ask(stage, answering(statistics, "sensor.a", "sensor.b"), ("sensor.a", "energy"), ("sensor.b", "energy"))
    assert of(answer, "sensor.a")["value"].to_list() == [None, None, None]
    assert of(answer, "sensor.b")["value"].to_list() == [0, 0.5, 0]


def test_what_validation_is_to_judge_is_passed_on_as_it_came(stage):
    far = 300_000 * 12 * 24 * 365
    future = {**row(0, 0.25, 1), "start": 1787529600000 + far, "end": 1787529900000 + far}
    statistics = {"sensor.a": [row(0, 0.25, 9), row(0, 0.5, 9), row(1, 1e9, 1e9 + 9), row(2, -3, 6), future]}
    rows = ask(stage, answering(statistics, "sensor.a")).rows
    assert rows["value"].to_list() == [0.25, 0.5, 1e9, -3, 0.25]
    assert rows["stamp"].to_list()[:2] == [START, START]
    assert rows["stamp"].max() == START + timedelta(days=365)


def test_unknown_fields_are_counted(stage):
    statistics = {"sensor.a": [row(0, 1, 9, state=4, mood="good"), row(1, 1, 9, mood="bad")], "sensor.z": "not asked"}
    answer = ask(stage, answering(statistics, "sensor.a"))
    assert answer.unknown == {"mood": 2}
    assert answer.rows.height == 2


def test_other_messages_are_passed_over_and_several_may_come_in_one(stage):
    def reply(command: dict[str, Any]) -> list[str]:
        result = catalogue("sensor.a") if "list" in command["type"] else {"sensor.a": [row(0, 1, 9)]}
        event = {"id": command["id"], "type": "event", "event": {}}
        stray = {"id": command["id"] + 7, "type": "result", "success": True, "result": {"sensor.a": [row(0, 5, 9)]}}
        own = {"id": command["id"], "type": "result", "success": True, "result": result}
        return [json.dumps(event), json.dumps([stray, own])]

    assert ask(stage, Script(reply)).rows["value"].to_list() == [1]


# What fails for one sensor


def test_sensors_that_cannot_be_read_are_named_and_the_others_go_on(stage):
    start = datetime(2016, 10, 29, 8, tzinfo=UTC)
    with stage.open("home_assistant") as source:
        answer = stage.read(
            source,
            start,
            start + HOUR,
            (PUMP, "energy"),
            (CHARGER, "import"),
            ("sensor.nowhere", "energy"),
            ("sensor.gas_consumed", "energy"),
            ("sensor.living_room_temperature", "energy"),
        )
    assert set(answer.rows["meter"]) == {PUMP}
    assert set(map(type, answer.failed.values())) == {SourceError}
    said = {sensor: str(error) for sensor, error in answer.failed.items()}
    assert set(said) == {CHARGER, "sensor.nowhere", "sensor.gas_consumed", "sensor.living_room_temperature"}
    assert "register 'import'" in said[CHARGER]
    assert "'energy'" in said[CHARGER]
    assert "of energy it has sensor.ev_charger_16_energy, " in said["sensor.nowhere"]
    assert "and 10 more" in said["sensor.nowhere"], "5 of 15"
    assert "unit 'm³'" in said["sensor.gas_consumed"]
    assert "unit '°C'" in said["sensor.living_room_temperature"]
    for sensor, text in said.items():
        assert f"source 'acc', sensor '{sensor}'" in text
        assert "2016-10-29 08:00 to 10-29 09:00 UTC" in text


@pytest.mark.parametrize(
    "rows",
    [
        False,
        {"start": 1},
        "none",
        ["text"],
        [[1, 2]],
        [row(0, "0.5", 1)],
        [row(0, True, 1)],
        [row(0, 1, "x")],
        [row(0, 1, 9, start="2026-08-24T00:00:00Z")],
        [row(0, 1, 9, end=None)],
        [row(0, 1, 9, start=1787529600.5)],
        [row(0, 1, 9, start=10**17)],
        [row(0, 1, 9, start=2**63)],
        [row(0, 1, 9, start=-5)],
        [{}],
    ],
)
def test_wrong_types_fail_the_sensor_and_what_came_is_kept(stage, rows):
    script = answering({"sensor.a": rows, "sensor.b": [row(0, 1, 9)]}, "sensor.a", "sensor.b")
    answer = ask(stage, script, ("sensor.a", "energy"), ("sensor.b", "energy"))
    assert set(answer.rows["meter"]) == {"sensor.b"}
    (error,) = answer.failed.values()
    assert isinstance(error, SourceError)
    assert "sensor 'sensor.a'" in str(error)
    (kept,) = (stage.folder / ".slotfeed" / "unreadable").iterdir()
    assert json.loads(kept.read_text()) == rows


# What fails as a whole


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><p>Portal</p>",
        '{"id":1,"type":"result","success":true,"resu',
        "7",
        '["text"]',
        '{"id":1,"type":"result","success":true}',
        '{"id":1,"type":"result","success":false}',
        '{"id":1,"type":"result","success":false,"error":"no"}',
        '{"id":1,"type":"result","success":"true","result":[]}',
        '{"id":1,"type":"result","success":true,"result":false}',
        '{"id":1,"type":"result","success":true,"result":{}}',
        '{"id":1,"type":"result","success":true,"result":[{"statistic_id":7}]}',
        '{"id":1,"type":"result","success":true,"result":["sensor.a"]}',
    ],
)
def test_answers_of_another_form_are_errors_that_keep_what_came(stage, text):
    with pytest.raises(SourceError, match=r"source 'acc', statistics of sensor\.a, 2026-08-24 00:00 to") as caught:
        ask(stage, Script(lambda _: [text]))
    assert SECRET not in str(caught.value)
    assert len(list((stage.folder / ".slotfeed" / "unreadable").iterdir())) == 1
    assert stage.waits == [], "it answers, so asking again changes nothing"


@pytest.mark.parametrize("statistics", [False, [], "x", None])
def test_statistics_that_are_no_object(stage, statistics):
    with pytest.raises(SourceError, match="no object of sensors"):
        ask(stage, answering(statistics, "sensor.a"))


def test_a_timeout_there_is_asked_again(stage):
    def reply(command: dict[str, Any]) -> list[str]:
        error = {"code": "timeout", "message": "Timeout"}
        return [json.dumps({"id": command["id"], "type": "result", "success": False, "error": error})]

    script = Script(reply)
    with pytest.raises(SourceUnavailable, match="Timeout"):
        ask(stage, script)
    assert script.connections == 4
    assert len(stage.waits) == 3


def test_a_refused_token_stops_the_account_and_is_not_told(stage):
    with (
        stage.open("home_assistant", secret="some-other-token") as source,
        pytest.raises(AuthenticationError, match="Invalid access token or password") as caught,
    ):
        source.devices()
    assert "some-other-token" not in str(caught.value)
    assert len(stage.world.journal.entries("home_assistant")) == 1, "asked once"
    with pytest.raises(AccountStopped), stage.open("home_assistant"):
        pass


def test_a_refusal_that_quotes_the_token_is_not_passed_on(stage):
    script = Script(lambda _: [], verdict=json.dumps({"type": "auth_invalid", "message": f"Got '{SECRET}'"}))
    with pytest.raises(AuthenticationError) as caught:
        ask(stage, script)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ['{"type":"hello"}', "[]", "<html>"])
def test_something_else_than_home_assistant_is_not_given_the_token(stage, text):
    script = Script(lambda _: [], greeting=text)
    with pytest.raises(SourceError, match="source 'acc'"):
        ask(stage, script)
    assert script.heard == []


@pytest.mark.parametrize(
    ("answered", "error", "says", "tries"),
    [
        ((200, {}, b"<html>Portal</html>"), SourceUnavailable, "in place of a websocket", 4),
        ((401, {}, b"401: Unauthorized"), AuthenticationError, "401", 1),
        ((403, {}, b"403: Forbidden"), SourceError, "403: 403: Forbidden", 1),
        ((404, {}, b"404: Not Found"), SourceError, "404", 1),
        ((502, {}, b"<html>Bad Gateway</html>"), SourceUnavailable, "502", 4),
        ((302, {"Location": "https://elsewhere.example/"}, b""), SourceError, "redirected to elsewhere.example", 1),
        ((429, {"Retry-After": "3"}, b""), SourceUnavailable, "too many requests", 4),
        ((429, {"Retry-After": "3000"}, b""), AccountStopped, "too many requests", 1),
        ((410, {}, b""), AccountStopped, "retired", 1),
    ],
)
def test_http_answers_in_place_of_a_websocket(stage, answered, error, says, tries):
    status, headers, body = answered
    answer = Response(status, HTTPStatus(status).phrase, Headers({"Content-Length": str(len(body)), **headers}), body)
    script = Script(lambda _: [], instead=answer)
    with pytest.raises(error, match=says) as caught:
        ask(stage, script)
    assert type(caught.value) is error
    assert script.connections == tries
    assert script.heard == []


def test_nobody_there(stage):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        stage.open("home_assistant", url=f"http://127.0.0.1:{port}") as source,
        pytest.raises(SourceUnavailable, match=r"source 'acc', list of statistics: no answer from 127\.0\.0\.1"),
    ):
        source.devices()
    assert len(stage.waits) == 3


def test_a_connection_that_breaks_off_is_made_anew(stage):
    stage.world.faults.replace([CloudRule(do=CloudFault.RESET, times=1), CloudRule(do=CloudFault.TRUNCATE, times=1)])
    with stage.open("home_assistant") as source:
        assert len(source.devices()) == 15
    assert len(stage.waits) == 2


def test_closed_in_place_of_an_answer(stage):
    script = Script(lambda _: None)
    with pytest.raises(SourceUnavailable, match="broke off"):
        ask(stage, script)
    assert script.connections == 4


def test_an_answer_that_is_too_large_is_not_read(stage, monkeypatch):
    monkeypatch.setattr(websocket, "MOST_BYTES", 2**20)
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        ask(stage, answering(" " * 2**20, "sensor.a"))


def test_an_answer_that_does_not_come(stage, monkeypatch):
    monkeypatch.setattr(websocket, "REQUEST_S", 0.02)
    with pytest.raises(SourceUnavailable, match="no answer"):
        ask(stage, Script(lambda _: []))


def test_events_without_end_are_no_answer(stage, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(websocket, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))

    def reply(command: dict[str, Any]) -> list[str]:
        answer = {"id": command["id"], "type": "result", "success": True, "result": []}
        return [*(['{"id":1,"type":"event"}'] * 100), json.dumps(answer)]

    with pytest.raises(SourceUnavailable, match="no answer in 60 s"):
        ask(stage, Script(reply))


def test_a_certificate_that_nobody_vouches_for(stage, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    script = answering({}, "sensor.a")
    with (
        served(script, ssl=context) as url,
        stage.open("home_assistant", url=url.replace("http", "https")) as source,
        pytest.raises(SourceUnavailable, match="certificate verify failed"),
    ):
        source.devices()
    assert script.heard == []


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - HOUR, now + HOUR)
    ).sign(key, hashes.SHA256())
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = folder / "server.pem"
    path.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()) + certificate.public_bytes(pem))
    return path


def test_no_log_holds_the_token(stage, caplog):
    caplog.set_level(logging.DEBUG)
    with stage.open("home_assistant") as source:
        source.devices()
    assert SECRET not in caplog.text


def test_the_vendors_clock_is_noted(stage):
    with stage.open("home_assistant") as source:
        stage.clock.set(stage.clock.now() + timedelta(milliseconds=400))
        source.devices()
        assert source.ahead_s == pytest.approx(-0.4)


def test_by_hand_over_rest(stage):
    """What a person sees with curl is what is read."""
    with httpx.Client(base_url=f"{stage.url}/homeassistant", headers={"Authorization": f"Bearer {SECRET}"}) as client:
        before = float(client.get(f"/api/states/{PUMP}").json()["state"])
        start = stage.clock.now()
        stage.clock.set(start + HOUR + timedelta(minutes=1))
        after = float(client.get(f"/api/states/{PUMP}").json()["state"])
    with stage.open("home_assistant") as source:
        answer = stage.read(source, start, start + HOUR, (PUMP, "energy"))
    minute_wh = told_wh(stage, PUMP, start + HOUR, start + HOUR + QUARTER) / 15
    assert answer.rows["value"].sum() + minute_wh / 1000 == pytest.approx(after - before, abs=0.0011)
