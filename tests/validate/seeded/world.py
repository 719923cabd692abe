"""A community of SimBench's 36 assets with realistic meters, and its readings of three weeks of history and a month.

Energy is known per asset and slot, so that what a test seeds is chosen and expected from it, not from the code.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.community import Community
from tests.simbench_year import assets, slot_energy

SLOT = timedelta(minutes=15)
PER_DAY = 96
HISTORY_DAYS, MONTH_DAYS = 21, 31
START = datetime(2016, 4, 17, 22, tzinfo=UTC)
"""2016-04-18 in Europe/Berlin; the clocks aren't changed until the month's end."""

MONTH = START + HISTORY_DAYS * timedelta(days=1)
END = MONTH + MONTH_DAYS * timedelta(days=1)
NOW = END + timedelta(hours=3)

Row = dict[str, Any]
Key = tuple[str, datetime]


@dataclass(frozen=True)
class Meter:
    """An asset with how it is metered."""

    asset_id: str
    kind: str
    rated_kw: float
    way: str
    """register, interval, parts (two channels), power."""

    step_wh: int
    """Of registers."""

    checked: bool
    """It has a check register."""

    energy_wh: NDArray[np.float64]
    """True energy, [day, slot of the day], from START on."""

    @property
    def rated_wh(self) -> float:
        """Energy of a slot at rated power."""
        return self.rated_kw * 250.0

    @property
    def share(self) -> NDArray[np.float64]:
        """Mean power as a share of the rated power, as `energy_wh`."""
        return self.energy_wh / self.rated_wh

    def streams(self) -> list[str]:
        """Registers' names of its channels."""
        return ["a", "b"] if self.way == "parts" else ["a"]

    def stream_id(self, channel: str = "a") -> str:
        return f"m/{self.asset_id}/{channel}"


def at(day: int, slot: int = 0) -> datetime:
    """Start of a slot; days count from START."""
    return START + day * timedelta(days=1) + slot * SLOT


def meters() -> list[Meter]:
    """All assets: a third of them read by registers, some of these in steps of 10 Wh."""
    ways = ("register", "interval", "parts", "power", "interval", "register")
    energy = slot_energy(START, END).partition_by("asset_id", as_dict=True)
    return [
        Meter(
            asset_id=asset_id,
            kind=kind,
            rated_kw=rated_kw,
            way=ways[n % 6],
            step_wh=10 if n % 6 == 5 else 1,
            checked=n % 6 in (1, 3),
            energy_wh=energy[asset_id,]["energy_wh"].to_numpy().reshape(HISTORY_DAYS + MONTH_DAYS, PER_DAY),
        )
        for n, (asset_id, kind, _, rated_kw) in enumerate(assets().rows())
    ]


def community(of: list[Meter]) -> Community:
    """The file of these assets."""

    def stream(meter: Meter, channel: str) -> dict[str, Any]:
        kind = {"parts": "interval"}.get(meter.way, meter.way) if channel != "check" else "register"
        more: dict[str, Any] = {"label": "start"} if kind == "power" else {}
        return {
            "source": "m",
            "device": meter.asset_id,
            "register": channel,
            "kind": kind,
            "unit": "W" if kind == "power" else "kWh",
            **({"dials": 6} if kind == "register" else {}),
            **more,
        }

    return Community.model_validate(
        {
            "community": {"name": "c", "simulation_uuid": "s", "time_zone": "Europe/Berlin", "holidays": "DE-HE"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///m.sqlite",
                    "columns": {"meter": "m", "time": "t"},
                    "time_type": "timestamptz",
                }
            },
            "assets": [
                {
                    "name": meter.asset_id,
                    "uuid": meter.asset_id,
                    "type": meter.kind,
                    "rated_power_kw": meter.rated_kw,
                    "streams": [stream(meter, channel) for channel in meter.streams()],
                    "check_registers": [stream(meter, "check")] if meter.checked else [],
                }
                for meter in of
            ],
        }
    )


def reading(stream_id: str, ts: datetime, value: float, kind: str, **more: object) -> Row:
    """A row of the table `reading`."""
    return {
        "stream_id": stream_id,
        "ts": ts,
        "ts_end": None if kind == "register" else ts + SLOT,
        "revision": 0,
        "kind": kind,
        "value": value,
        "unit": "W" if kind == "power" else "Wh",
        "quality": "MEASURED",
        "ingested_at": None,
        "received_at": ts + SLOT + timedelta(minutes=1),
        "run_id": "r",
    } | more


def readings(meter: Meter, first: int, last: int) -> dict[Key, Row]:
    """What the meter says of the days [first, last), and registers at their end."""
    lower, upper = first * PER_DAY, last * PER_DAY
    true_wh = np.concatenate([[0.0], meter.energy_wh.ravel().cumsum()])
    counted = np.floor(true_wh / meter.step_wh + 1e-6) * meter.step_wh + 1_234_560.0
    rows: list[Row] = []
    if meter.way == "register":
        # A gateway stamps some seconds late.
        late = np.random.default_rng(len(meter.asset_id)).integers(0, 20, upper + 1)
        rows = [
            reading(meter.stream_id(), START + k * SLOT + timedelta(seconds=int(late[k])), counted[k], "register")
            for k in range(lower + (first > 0), upper + 1)
        ]
    elif meter.way == "power":
        rows = [
            reading(meter.stream_id(), START + k * SLOT, float(np.round(4 * meter.energy_wh.ravel()[k])), "power")
            for k in range(lower, upper)
        ]
    else:
        for channel, part in zip(meter.streams(), (0.6, 0.4) if meter.way == "parts" else (1.0,), strict=True):
            own = np.floor(part * true_wh + 1e-6)
            rows += [
                reading(meter.stream_id(channel), START + k * SLOT, own[k + 1] - own[k], "interval")
                for k in range(lower, upper)
            ]
    if meter.checked:
        tens = np.floor(true_wh / 10 + 1e-6) * 10 + 500_000.0
        rows += [
            reading(meter.stream_id("check"), START + k * SLOT, tens[k], "register")
            for k in range(lower + 4 * (first > 0), upper + 1, 4)
        ]
    return {(row["stream_id"], row["ts"]): row for row in rows}
