"""What passes between the verbs: polars frames with a declared schema.

Every instant is UTC. Names carry units. `conform` checks a frame where it crosses a verb's door.
"""

from collections.abc import Mapping
from enum import StrEnum

import polars as pl

INSTANT = pl.Datetime("us", "UTC")


class Kind(StrEnum):
    """What a reading's value means."""

    REGISTER = "register"
    """A counter's state at `ts`, in Wh."""

    INTERVAL = "interval"
    """Energy of the span [`ts`, `ts_end`), in Wh."""

    POWER = "power"
    """Power in W: at `ts`, or the mean of [`ts`, `ts_end`) where `ts_end` is given."""


class Quality(StrEnum):
    """How far a value can be trusted, best first; kept from the meter to the report."""

    MEASURED = "MEASURED"
    SUBSTITUTED = "SUBSTITUTED"
    ESTIMATED = "ESTIMATED"
    PROVISIONAL = "PROVISIONAL"
    MISSING = "MISSING"
    UNUSABLE = "UNUSABLE"


QUALITY_RANK: Mapping[str, int] = {quality.value: rank for rank, quality in enumerate(Quality)}
"""0 is best. The quality of a sum is that of its worst part."""


class Quantity(StrEnum):
    """What a submission says about its slot."""

    FORECAST = "forecast"
    MEASUREMENT = "measurement"


class State(StrEnum):
    """Where a submission stands. All but the first two are final or wait for the read-back alone."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


READINGS = pl.Schema(
    {
        "stream_id": pl.String(),
        "ts": INSTANT,
        "ts_end": INSTANT,
        "kind": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "quality": pl.String(),
        "ingested_at": INSTANT,
        "received_at": INSTANT,
        "run_id": pl.String(),
    }
)
"""Key: stream_id, ts. `value` in Wh (register, interval) or W (power), `unit` says which; a row whose unit
could not be read keeps the unit as it came and its value unscaled. `ts_end` for spans only.
`ingested_at`: when the source got it, where the source tells; `received_at`: when slotfeed did."""

SLOT_ENERGY = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "energy_wh": pl.Float64(),
        "quality": pl.String(),
        "coverage": pl.Float64(),
        "method": pl.String(),
    }
)
"""Key: asset_id, slot_start. `energy_wh` >= 0; `coverage`: share of the slot that readings back, 0..1."""


def conform(frame: pl.DataFrame, schema: pl.Schema, *, door: str) -> pl.DataFrame:
    """Return `frame` with exactly the columns of `schema`, in its order.

    Raises:
        TypeError: a column is missing, unknown or of another type; names the door and the columns.
    """
    wrong = [
        f"{name}: {frame.schema.get(name, 'missing')} instead of {dtype}"
        for name, dtype in schema.items()
        if frame.schema.get(name) != dtype
    ]
    wrong += [f"{name}: unknown" for name in frame.columns if name not in schema]
    if wrong:
        raise TypeError(f"{door}: frame doesn't fit its schema ({'; '.join(wrong)})")
    return frame.select(schema.names())
