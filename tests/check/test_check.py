from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.check import read_community
from pipelines.errors import ConfigurationError

File = dict[str, Any]


def test_a_sound_file_has_no_findings_and_gives_its_community(
    path: Path, check: Callable[..., list[str]], sound: File
) -> None:
    assert check(sound) == []
    community = read_community(path)
    assert [asset.name for asset in community.assets] == ["Flat", "Roof"]
    assert list(community.streams()) == ["meters/m1/1-0:1.8.0", "meters/m1/1-0:2.8.0"]


FAULTY = """\
community:
  name: Sunny Street
  simulation_uuid: my-simulation
  slot_length: 25
  time_zone: Europe/Wien
exchange:
  base_url: https://exchange.example
  protocol: resst
  margin_s: 30
  margin_s: 40
  password: hush-1
database: mysql://slotfeed:hush-2@db.example/slotfeed
sources:
  meters:
    type: meter_database
    url: postgresql+psycopg://reader:hush-3@db.example/meters
    table: readings
    sql: DELETE FROM readings
    columns: {meter: meter_id, time: ts, value: kwh, registr: obis}
    time_type: naive
  wide:
    type: meter_database
    url: postgresql//reader:hush-4@db.example/meters
    columns: {meter: meter_id, time: ts, value: v}
    wide: {a: 1-0:1.8.0, b: 1-0:2.8.0}
    time_type: epoch
assets:
  - name: Flat 1
    uuid: 11111111-1111-4111-8111-111111111111
    type: Load
    rated_power_kw: 5,5
    streams:
      - {source: meter, device: 0123, kind: register, unit: kwh, label: start}
      - {source: wide, device: 4711, register: 1-0:3.8.0, kind: power, unit: kWh}
  - name: Flat 2
    uuid: 11111111-1111-4111-8111-111111111111
    type: battery
    rated_power_kw: -3
    streams: []
  - uuid: 33333333-3333-4333-8333-333333333333
    type: pv
    rated_power_kw:
    streams:
      - {source: wide, device: a, register: 1-0:1.8.0, kind: interval, unit: kWh, interval: 60}
      - {source: wide, device: a, register: 1-0:2.8.0, kind: interval, unit: kWh, sgn: -1}
      - {source: wide, device: a, register: 1-0:2.8.0, kind: interval, unit: kWh}
  - just text
"""

EVERY_FAULT = [
    "community, time_zone: 'Europe/Wien' is no IANA time zone. Write one like Europe/Vienna",
    "community, slot_length: 25 minutes don't divide the hour. "
    "Write the exchange's slot length: 5, 10, 12, 15, 20, 30 or 60",
    "exchange, margin_s: the key stands twice, in lines 9 and 10; YAML would drop all but the last. Keep one of them",
    "exchange, protocol: 'resst' is none of the allowed values. Did you mean 'rest'? Allowed: rest, sdk or batch",
    "exchange, password: no secret stands in this file. "
    "Take it out and set SLOTFEED_EXCHANGE_USERNAME and SLOTFEED_EXCHANGE_PASSWORD in the environment or in .env",
    "database: a password stands in this URL. "
    "Take it out and set SLOTFEED_DATABASE_PASSWORD in the environment or in .env",
    "database: slotfeed's own database can't be mysql. "
    "Write sqlite:///slotfeed.sqlite or postgresql+psycopg://slotfeed@db.example/slotfeed",
    "source 'meters', columns.registr: this key is unknown. Did you mean 'register'?",
    "source 'meters', url: a password stands in this URL. "
    "Take it out and set SLOTFEED_SOURCE_METERS_PASSWORD in the environment or in .env",
    "source 'meters', sql: both table and sql are given. Keep one of them",
    "source 'meters', sql: this isn't one SELECT. Write one SELECT statement, and nothing after it",
    "source 'meters', sql: :start, :end and :meters are not used. "
    "Limit the rows by time >= :start AND time < :end AND meter IN :meters",
    "source 'meters', time_zone: naive times without a time zone. "
    "Write the zone of the stamps, such as Europe/Vienna, or UTC if that is what they are",
    "source 'wide', time_type: 'epoch' is none of the allowed values. "
    "Did you mean 'epoch_s'? Allowed: timestamptz, naive, epoch_s or epoch_ms",
    "source 'wide', url: this is no database URL. "
    "Write one like postgresql+psycopg://reader@db.example/meters or sqlite:///meters.sqlite",
    "source 'wide', table: neither table nor sql is given. Write the table's name, or a SELECT as sql",
    "source 'wide', columns.value: wide rows have no value column. Take out either value or wide",
    "asset 'Flat 1', type: 'Load' is none of the allowed values. "
    "Did you mean 'load'? Allowed: load, pv, heat_pump, ev_charger",
    "asset 'Flat 1', rated_power_kw: '5,5' is no number. "
    "Write the largest power it can draw or feed in, in kW, such as 5.5",
    "asset 'Flat 1', streams[0].device: YAML reads 0123 as 83 (line 33). "
    "Put it in quotes to keep it as written: '0123'",
    "asset 'Flat 1', streams[0].source: there is no source 'meter'. Did you mean 'meters'?",
    "asset 'Flat 1', streams[0].unit: the unit 'kwh' is unknown. Did you mean 'kWh'?",
    "asset 'Flat 1', streams[0].label: 'start' doesn't fit kind register. Write instant, or take it out",
    "asset 'Flat 1', streams[1].unit: kWh is a unit of energy and doesn't fit kind power. Write W, kW or MW",
    "asset 'Flat 1', streams[1].register: the source's wide rows hold no register '1-0:3.8.0'. "
    "Did you mean '1-0:2.8.0'?",
    "asset 'Flat 2', rated_power_kw: '-3' is out of range. Write a number greater than 0",
    "asset 'Flat 2', streams: is empty. List at least one stream: source, device, kind and unit",
    "asset 'Flat 2', uuid: asset no. 1 has the same uuid. Write the uuid that the exchange gave this asset",
    "asset 'Flat 2', type: the exchange ignores live data for a battery. "
    "Split it at the exchange and here: charging feeds a load, discharging a pv with sign: -1",
    "asset no. 3, name: is missing. Give the asset a name",
    "asset no. 3, rated_power_kw: is empty. Write the largest power it can draw or feed in, in kW, such as 5.5",
    "asset no. 3, streams[0].register: 1-0:1.8.0 counts import, and feeds a pv. "
    "Feed a load from it, and this asset from the export register (2.8.0 or 2.29.0)",
    "asset no. 3, streams[1].sgn: this key is unknown. Did you mean 'sign'?",
    "asset no. 3, streams[2]: the same channel as streams[1]. Take one of them out",
    "asset no. 4: 'just text' stands where key: value lines belong. Write one key: value a line, indented",
]

EVERY_NOTICE = [
    "NOTICE community, simulation_uuid: 'my-simulation' hasn't the form of a UUID. "
    "Compare it with the exchange's; GSy's look like 84d221fa-46e1-49e0-823b-26cfb3425a5a",
    "NOTICE source 'meters', url: the URL doesn't demand encryption, so passwords and readings may travel to "
    "db.example in clear. Add sslmode=verify-full and sslrootcert=system to it, as in "
    "?sslmode=verify-full&sslrootcert=system; sslmode=require where the server's certificate is its own",
    "NOTICE asset no. 3, streams[0].interval: one value of 60 minutes covers several slots of 25: "
    "what each of them held isn't known. Read finer values, if the meter has them",
]


def test_every_fault_of_a_file_is_told_at_once(path: Path, check: Callable[..., list[str]]) -> None:
    found = check(FAULTY)
    assert found == EVERY_FAULT + EVERY_NOTICE
    assert "hush" not in "\n".join(found)
    with pytest.raises(ConfigurationError) as caught:
        read_community(path)
    assert str(caught.value).splitlines() == EVERY_FAULT
