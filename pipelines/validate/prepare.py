"""Puts beside each reading what the checks compare it with. Pure: frames in, a frame out."""

from datetime import datetime
from math import inf

import polars as pl

from expectations.limits import CHANGED_BY, REGISTER_STEPS_WH, UNIT_OF_KIND, USABLE_QUALITIES
from expectations.names import Check, Severity
from pipelines.community import Community, MeterDatabase, Stream
from pipelines.frames import INSTANT, QUALITY_RANK, Kind
from pipelines.validate.limits import stream_limit_columns
from pipelines.validate.registers import STORED, neighbours
from pipelines.validate.replacing import STANDING, replaced

ROWS = pl.Schema(
    {
        "id": pl.Int64(),
        "stream_id": pl.String(),
        "ts": INSTANT,
        "ts_end": INSTANT,
        "revision": pl.Int64(),
        "kind": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "quality": pl.String(),
        "ingested_at": INSTANT,
        "received_at": INSTANT,
    }
)
"""Readings to be judged. Key: id."""

USABLE_REGISTERS = pl.Schema(
    {"stream_id": pl.String(), "ts": INSTANT, "value": pl.Float64(), "series_start": pl.String()}
)
"""Register readings of the store that energy is computed from already, in Wh. Key: stream_id, ts."""

KEY = ("stream_id", "ts")

DAY_S = 86_400.0


def channels(community: Community) -> pl.DataFrame:
    """What the community file says of each of its streams, check registers too.

    Assets may share a channel. It may then carry the greater of the rated powers, in both directions if one of the
    assets says so. The rest is that of its first mention; `sign` matters on one-way streams only.

    Returns:
        A frame with the key `stream_id`: `asset_id` of the first asset, `rated_power_w`, `sign`, `two_way`,
        `configured_kind`, `configured_span_s` (seconds; null where spans aren't configured), `dials_wh` (where the
        register's dials end; null where that isn't told) and the limits of `stream_limit_columns`.
    """
    mentions = pl.DataFrame(
        [
            (
                stream.stream_id,
                asset.asset_id,
                1000.0 * (stream.rated_power_kw or asset.rated_power_kw),
                float(stream.sign),
                stream.two_way,
                stream.kind.value,
                _span_s(stream, community),
                1000.0 * 10.0**stream.dials if stream.dials else None,
            )
            for asset in community.assets
            for stream in (*asset.streams, *asset.check_registers)
        ],
        schema=_CHANNEL,
        orient="row",
    )
    of_stream = mentions.group_by("stream_id", maintain_order=True).agg(
        pl.col("rated_power_w").max(),
        pl.col("two_way").any(),
        pl.exclude("stream_id", "rated_power_w", "two_way").first(),
    )
    return of_stream.join(stream_limit_columns(community), on="stream_id", how="left", maintain_order="left")


_CHANNEL = pl.Schema(
    {
        "stream_id": pl.String(),
        "asset_id": pl.String(),
        "rated_power_w": pl.Float64(),
        "sign": pl.Float64(),
        "two_way": pl.Boolean(),
        "configured_kind": pl.String(),
        "configured_span_s": pl.Float64(),
        "dials_wh": pl.Float64(),
    }
)


def _span_s(stream: Stream, community: Community) -> float | None:
    """How long the stream's spans last; None where the file leaves that to the source.

    A cloud tells its own spans, and some tell several: five minutes, and hours for what is longer ago.
    """
    if stream.kind is Kind.REGISTER:
        return None
    if stream.interval is not None:
        return 60.0 * stream.interval
    return (
        community.slot_length.total_seconds() if isinstance(community.sources[stream.source], MeterDatabase) else None
    )


def prepare(
    rows: pl.DataFrame,
    usable_registers: pl.DataFrame,
    known_channels: pl.DataFrame,
    *,
    now: datetime,
    usable: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Add the columns that the suite `readings` looks at.

    Args:
        rows: frame of `ROWS`; every stream is among `known_channels`.
        usable_registers: frame of `USABLE_REGISTERS`; holds at least the ones next in time to each new register row.
        known_channels: what `channels` returned.
        now: the run's logical time.
        usable: frame of `pipelines.validate.replacing.STANDING`: usable readings of the rows' stamps; None: none.

    Returns:
        The rows, sorted by stream and time stamp and, within one stamp, newest first, with what stands in
        `known_channels` and

        - `number`: "finite", "NaN" or "infinite"; null where there is no value.
        - `rivals`: how many differing values arrived together for this stamp; null without a time stamp.
        - `span_s`: from `ts` to `ts_end`.
        - `not_from_future`: seconds from `now` to the reading's last instant.
        - `not_ages_old`: days from `ts` to `now`.
        - `forward_value`: value after `sign`, of one-way intervals and powers; Wh or W.
        - `shown_wh`: what a register shows, without its sign.
        - `register_wh`, `register_before_wh`, `register_after_wh`: the register after `sign`, and the usable ones
          next to it in time; null on two-way streams, whose register may fall.
        - `within_rated_power`: mean power that the reading implies, as a multiple of the rated power. Of a
          register: since the usable reading before, or until the one after if that is more; one step of the register
          is let off, and less than a minute counts as one (`expectations.limits`).
        - `series_start`: one of `SeriesStart` where a register's new series begins with the reading; "" elsewhere.
        - `waits`: a register reading that breaks its series, and no later one has decided about it yet.
        - `rank`, `standing_rank`, `change`: of its quality and that of the reading it replaces, and the difference of
          their values; null where it replaces none.
        - `configured_kind`: null where the row's kind isn't known.
    """
    value, finite = pl.col("value"), pl.col("value").is_finite()
    unit = pl.col("kind").replace_strict(dict(UNIT_OF_KIND), default=None)
    kind, one_way = pl.col("kind"), ~pl.col("two_way")
    is_register = kind == Kind.REGISTER
    last_instant = pl.max_horizontal("ts", pl.when(~is_register).then("ts_end"))
    frame = (
        _newest_first(rows)
        .join(known_channels, on="stream_id", how="left", maintain_order="left")
        .with_columns(
            number=pl.when(value.is_nan())
            .then(pl.lit("NaN"))
            .when(value.is_infinite())
            .then(pl.lit("infinite"))
            .when(value.is_not_null())
            .then(pl.lit("finite")),
            span_s=(pl.col("ts_end") - pl.col("ts")).dt.total_microseconds() / 1e6,
            not_from_future=_seconds(last_instant - pl.lit(now, dtype=INSTANT)),
            not_ages_old=_seconds(pl.lit(now, dtype=INSTANT) - pl.col("ts")) / DAY_S,
            configured_kind=pl.when(unit.is_not_null()).then("configured_kind"),
            rank=pl.col("quality").replace_strict(dict(QUALITY_RANK), default=None, return_dtype=pl.Int64),
            # A value in a unit that isn't known says nothing about energy or power.
            _wh_or_w=pl.when(finite & (pl.col("unit") == unit)).then(value),
        )
        .with_columns(
            forward_value=pl.when(one_way & ~is_register).then(pl.col("_wh_or_w") * pl.col("sign")),
            shown_wh=pl.when(is_register).then(pl.col("_wh_or_w").abs()),
            register_wh=pl.when(is_register).then(
                pl.col("_wh_or_w") * pl.when(one_way).then(pl.col("sign")).otherwise(1.0)
            ),
            implied_power_w=pl.when(kind == Kind.POWER)
            .then(pl.col("_wh_or_w").abs())
            .when((kind == Kind.INTERVAL) & (pl.col("span_s") > 0))
            .then(pl.col("_wh_or_w").abs() * 3600.0 / pl.col("span_s")),
        )
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int64))
    )
    frame = _with_rivals(frame).with_columns(_sound=_sound())
    frame = _with_replaced(frame, STANDING.to_frame() if usable is None else usable)
    return (
        _with_neighbours(frame, usable_registers, known_channels)
        .with_columns(within_rated_power=pl.col("implied_power_w") / pl.col("rated_power_w"))
        .drop("row", "_wh_or_w", "_ingested", "_sound", "implied_power_w")
    )


def _seconds(span: pl.Expr) -> pl.Expr:
    return span.dt.total_microseconds() / 1e6


def _sound() -> pl.Expr:
    """Readings sound by themselves: only they can be compared with others, or be what others are compared with."""
    return (
        pl.col("_wh_or_w").is_not_null()
        & (pl.col("rivals") == 1)
        & (pl.col("kind") == pl.col("configured_kind"))
        & pl.col("quality").is_in(list(USABLE_QUALITIES))
        & _passes(Check.NOT_FROM_FUTURE)
        & _passes(Check.NOT_AGES_OLD)
        & ~(pl.col("shown_wh") >= pl.col("dials_wh")).fill_null(value=False)
    )


def _passes(check: Check) -> pl.Expr:
    """The value is within its limits, or isn't rejected for it."""
    value = pl.col(check)
    outside = (value < pl.col(f"{check}_low")).fill_null(value=False) | (value > pl.col(f"{check}_high")).fill_null(
        value=False
    )
    return ~outside | (pl.col(f"{check}_severity") != Severity.REJECT)


def _newest_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Order the revisions of a stamp by when the source got them, where it tells so of all, else by arrival here."""
    told = pl.col("ingested_at").is_not_null().all().over(*KEY)
    return rows.with_columns(_ingested=pl.when(told).then("ingested_at")).sort(
        *KEY, "_ingested", "received_at", "revision", descending=[False, False, True, True, True]
    )


def _with_rivals(frame: pl.DataFrame) -> pl.DataFrame:
    together = (*KEY, "_ingested", "received_at")
    rivals = (
        frame.filter(pl.col("ts").is_not_null(), pl.struct(*KEY).is_duplicated())
        .filter(pl.col("_wh_or_w").is_not_null())
        .group_by(together)
        .agg(rivals=pl.struct("_wh_or_w", "ts_end").n_unique().cast(pl.Int64))
    )
    return frame.join(rivals, on=together, how="left", maintain_order="left", nulls_equal=True).with_columns(
        rivals=pl.when(pl.col("ts").is_not_null()).then(pl.col("rivals").fill_null(1))
    )


def _with_replaced(frame: pl.DataFrame, usable: pl.DataFrame) -> pl.DataFrame:
    fresh = frame.filter("_sound").select(*KEY, "ts_end", "rank", "row", value="_wh_or_w")
    worse = (pl.col("rank") > pl.col("standing_rank")) & (pl.col("change") <= CHANGED_BY)
    # One that takes nobody's place is nobody's neighbour.
    return frame.join(replaced(fresh, usable), on="row", how="left", maintain_order="left").with_columns(
        _sound=pl.col("_sound") & ~worse.fill_null(value=False)
    )


def _with_neighbours(frame: pl.DataFrame, usable_registers: pl.DataFrame, known_channels: pl.DataFrame) -> pl.DataFrame:
    columns = ("stream_id", "ts", "wh", "row", "limit_w", "two_way", "series_start")
    check = Check.WITHIN_RATED_POWER
    rejected_above_w = pl.when(pl.col(f"{check}_severity") == Severity.REJECT).then(
        pl.col("rated_power_w") * pl.col(f"{check}_high")
    )
    limit_w = rejected_above_w.fill_null(inf)
    fresh = frame.filter(pl.col("_sound"), pl.col("register_wh").is_not_null()).with_columns(
        wh="register_wh", limit_w=limit_w, series_start=pl.lit("")
    )
    stored = usable_registers.join(known_channels, on="stream_id").with_columns(
        wh=pl.col("value") * pl.when("two_way").then(1.0).otherwise("sign"),
        row=pl.lit(STORED, dtype=pl.Int64),
        limit_w=limit_w,
    )
    registers = (
        # Stable: the fresh rows of a stamp keep their order, and the stored one follows them.
        pl.concat([fresh.select(columns), stored.select(columns)])
        .sort(*KEY, maintain_order=True)
        .with_columns(at_s=pl.col("ts").dt.timestamp("us") / 1e6, step_wh=_step("wh"))
    )
    return (
        frame.join(neighbours(registers), on="row", how="left", maintain_order="left", suffix="_register")
        .with_columns(
            pl.col("series_start").fill_null(""),
            pl.col("waits").fill_null(value=False),
            implied_power_w=pl.coalesce("implied_power_w", "implied_power_w_register"),
        )
        .with_columns(
            pl.when(~pl.col("two_way")).then(name).alias(name)
            for name in ("register_wh", "register_before_wh", "register_after_wh")
        )
        .drop("implied_power_w_register")
    )


def _step(column: str) -> pl.Expr:
    """The coarsest resolution that the register may have by this value; 0 where it shows fractions of a Wh."""
    wh = pl.col(column)
    steps = [
        # kWh times 1000 is seldom a whole number of Wh to the last bit.
        pl.when((wh - (wh / step).round() * step).abs() < 1e-4).then(step)
        for step in REGISTER_STEPS_WH
    ]
    return pl.coalesce(*steps, pl.lit(0.0))
