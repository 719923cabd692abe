"""What a source of readings is to the rest of `collect`: one contract for meter databases and vendor clouds.

A source is opened for a run and then asked, window by window, for the streams that the community file
names. It answers in rows (`ROWS`): still the source's own values, but one row a value, in known units and with
instants, or with naive stamps where it has no better. `normalise` makes readings of them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from pipelines.errors import AccountStopped, AuthenticationError, SlotfeedError
from pipelines.frames import INSTANT, Kind, Quality

STREAMS = pl.Schema(
    {
        "stream_id": pl.String(),
        "meter": pl.String(),
        "wanted": pl.String(),
        "kind": pl.String(),
        "stream_unit": pl.String(),
        "span": pl.Duration("us"),
        "ends": pl.Boolean(),
        "zone": pl.String(),
    }
)
"""Streams of one source. `meter`: the device. `wanted`: its register, empty for none. `span`: how long a value lasts,
null for one at an instant; `ends`: its stamp tells its end. `zone`: of naive stamps."""

FUTURE = timedelta(minutes=3)
"""What is stamped later than this after the run has a wrong clock; no cursor follows it. Ours."""

OF_THE_WHOLE = (AuthenticationError, AccountStopped)
"""Failures that concern the whole account, even where they met one device."""

ROWS = ("meter", "register", "stamp", "stamp_end", "value", "unit", "quality", "ingested_at", "order")
"""`stamp`, `stamp_end`: `INSTANT`, or a naive `Datetime`. `order`: place of the row in the order that the source tells,
or in which rows came."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How a source's rows are to be read."""

    tells_register: bool = True
    """Rows name their register; else the device alone says which stream a row belongs to."""

    tells_end: bool = True
    """Rows of spans tell both start and end; else the stream's label and length do."""

    naive: bool = False
    """Stamps are local times without an offset."""

    ordered: bool = False
    """`order` grows with true time, so it tells the two passes of a repeated hour apart."""

    scale: float = 1.0
    """Factor on every value, before its unit."""

    own_substitutes: bool = False
    """Substitute values among the rows are slotfeed's own: they don't replace what was measured."""

    quality_map: Mapping[str, Quality] | None = None
    """What the quality column says -> slotfeed's scale; None: there is no such column, so all is measured."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A register that a vendor's devices may have."""

    register: str
    """What streams call it: import, export, production, consumption, charge or discharge where one of these fits."""

    kind: Kind
    unit: str
    """Of the values in the rows: a unit of `pipelines.community`."""

    says: str
    """What it counts, for people, with the vendor's own name of it."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """Something with registers that a source knows."""

    device: str
    """As streams name it."""

    registers: tuple[str, ...]
    name: str = ""
    """What its owner or the vendor calls it, with its type."""

    newest: datetime | None = None
    """When it was last heard of, where the source tells."""


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """One question to a source: which readings are wanted, and who asks."""

    source: str
    start: datetime
    end: datetime
    since: datetime | None
    """What the source got later is wanted too, whatever its time before `end`. None: late rows aren't asked for."""

    received_at: datetime
    run_id: str
    open_end: bool = False
    """What is stamped after the window is wanted too, for validation to judge: a value of this moment, whose stamp is a
    little later than the question, and one from the future, whose clock is wrong."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a source sent for one window."""

    rows: pl.DataFrame
    """`ROWS`; more than was asked for does no harm."""

    failed: Mapping[str, SlotfeedError] = field(default_factory=dict)
    """Devices whose part of the window could not be read to its end. The cursors of their streams stay."""

    unknown: Mapping[str, int] = field(default_factory=Counter)
    """Fields that the vendor's papers don't tell of, and how often they came."""

    waits: str = ""
    """Why a part of what was asked for was not asked of the vendor yet; empty where all was."""

    holds: bool = False
    """That part lies before what came, so the cursors must not move over it."""


class Source(Protocol):
    """A source, open for a run."""

    @property
    def name(self) -> str:
        """As the community file calls it."""

    @property
    def wording(self) -> Wording:
        """How its rows are to be read."""

    @property
    def ahead_s(self) -> float:
        """By how many seconds its clock is ahead of ours, as far as it has told; 0 where it doesn't."""

    @property
    def longest_window(self) -> timedelta:
        """What one question may span."""

    @property
    def overlap(self) -> timedelta:
        """How far before its last reading a stream is read again, for late and corrected values."""

    @property
    def settle(self) -> timedelta:
        """How long after its end a span's value may still grow."""

    @property
    def step(self) -> timedelta | None:
        """How far apart a stream's readings are when none is missing; None where that isn't known."""

    @property
    def memory(self) -> timedelta:
        """How long the source keeps what a device may send late."""

    def devices(self) -> list[Device]:
        """What there is to read.

        Raises:
            SlotfeedError: as of `read`.
        """

    def read(self, streams: pl.DataFrame, fetch: Fetch) -> Answer:
        """All rows of a window.

        Args:
            streams: `STREAMS`, all of this source.
            fetch: the window, at most `longest_window` long.

        Raises:
            SourceUnavailable: not reachable, or too slow; later it may be.
            SourceError: it answers, but not with what was agreed.
            AuthenticationError: the login or key was refused.
            AccountStopped: no request is made, for a reason that a former one met.
        """


def rows_frame(columns: Mapping[str, object]) -> pl.DataFrame:
    """A frame of `ROWS` for sources whose rows carry instants; what isn't among `columns` is empty.

    Args:
        columns: series or lists of equal length: `meter`, `register`, `stamp` and `value` at least.
    """
    frame = pl.DataFrame(columns)
    empty = {"stamp_end": INSTANT, "unit": pl.String(), "quality": pl.String(), "ingested_at": INSTANT}
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in empty.items() if name not in frame.columns]
    return frame.with_columns(
        pl.col("meter", "register").cast(pl.String()),
        pl.col("stamp").cast(INSTANT),
        pl.col("value").cast(pl.Float64()),
        *missing,
        *(pl.col(name).cast(dtype) for name, dtype in empty.items() if name in frame.columns),
        order=pl.int_range(pl.len(), dtype=pl.Int64()),
    ).select(ROWS)


NO_ROWS = rows_frame({"meter": [], "register": [], "stamp": pl.Series([], dtype=INSTANT), "value": []})
