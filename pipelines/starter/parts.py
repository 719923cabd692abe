"""What the files made from GSy's own files have in common."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from pipelines.community import AssetType

LIVE = {"Load": AssetType.LOAD, "PV": AssetType.PV}
"""Types whose live data the exchange takes (gsy-e, `models/leaves.py`: only these have a forecast strategy)."""

WHY_NOT = {
    "SmartMeter": "the exchange ignores live data for it; add a Load for its import and a PV for its export there",
    "Storage": "the exchange ignores live data for it; add a Load for charging and a PV for discharging there",
    "HeatPump": "the exchange ignores live data for it; add a Load there instead, of type heat_pump here",
    "WindTurbine": "the exchange ignores live data for it",
}

FILL_IN_UUID = "# fill in: slotfeed assets sync"
"""Stands behind a uuid that is still missing; the sync takes it away with the null."""

HEAD = """\
# Made from {origin}.
# Every line marked "fill in" waits for a value; `slotfeed check` lists them until all are there.
# No password stands here: set SLOTFEED_EXCHANGE_USERNAME, SLOTFEED_EXCHANGE_PASSWORD and
# SLOTFEED_SOURCE_METERS_PASSWORD in the environment, or in a file .env beside this one (chmod 600 .env).
"""

SOURCES = """
sources:
  meters:
    type: meter_database
    url: null                 # fill in: such as postgresql+psycopg://reader@db.example/meters
    table: null               # fill in: the table of readings
    columns:
      meter: null             # fill in: its column with the meter's id
      time: null              # fill in: its column with the time stamp
      value: null             # fill in: its column with the value
      # register: obis_code   # where one column tells a meter's channels apart
    time_type: null           # fill in: timestamptz, naive, epoch_s or epoch_ms
    # time_zone: Europe/Vienna  # of naive time stamps

assets:
"""

NAME_TAKEN = "   # fill in: another asset has this name, give each its own"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An asset as far as its origin knows it; None stands where it doesn't."""

    name: str
    type: AssetType
    uuid: str | None = None
    rated_power_kw: float | None = None
    device: str | None = None
    """The meter's id in the source."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An asset that takes no live data, so that it stands as a comment."""

    name: str
    kind: str
    """GSy's type of it."""

    uuid: str | None = None


def quoted(text: str) -> str:
    """The text as one double-quoted YAML scalar on one line, so that nothing in it can end it or a comment."""
    written: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return written.strip()


def asset_sections(entries: Iterable[Entry]) -> Iterator[str]:
    """Each asset as it stands in the file, what isn't known as null, marked "fill in"."""
    taken: set[str] = set()
    for entry in entries:
        mark = NAME_TAKEN if entry.name.strip() in taken else ""
        taken.add(entry.name.strip())
        register = "2.8.0" if entry.type is AssetType.PV else "1.8.0"
        uuid = f"null                {FILL_IN_UUID}" if entry.uuid is None else quoted(entry.uuid)
        device = _value(None if entry.device is None else quoted(entry.device), "the meter's id in the source")
        # A capacity of 0 is none that was filled in. No exponent: YAML 1.1 takes 1e+06 for a text.
        rated = f"{entry.rated_power_kw:.6f}".rstrip("0").rstrip(".") if entry.rated_power_kw else None
        yield (
            f"  - name: {quoted(entry.name)}{mark}\n    uuid: {uuid}\n    type: {entry.type.value}\n"
            f"    rated_power_kw: {_value(rated, 'the most it can draw or feed in', width=10)}\n"
            f"    streams:\n      - source: meters\n        device: {device}\n"
            f'        # register: "1-0:{register}"\n'
            "        kind: null            # fill in: register, interval or power\n"
            "        unit: null            # fill in: Wh, kWh or MWh; W, kW or MW for power\n"
        )


def _value(text: str | None, meaning: str, *, width: int = 14) -> str:
    return f"{'null':<{width}}# fill in: {meaning}" if text is None else text


def left_out_comments(assets: Iterable[LeftOut], *, where: str) -> Iterator[str]:
    """One comment for each, with the reason."""
    for number, asset in enumerate(assets):
        if not number:
            yield f"\n# Also in the {where}, but not fed from meters:\n"
        why = WHY_NOT.get(asset.kind, "no asset of a member")
        of = quoted(asset.kind) if asset.uuid is None else f"{quoted(asset.kind)}, {quoted(asset.uuid)}"
        yield f"#   {quoted(asset.name)} ({of}): {why}\n"
