"""Puts beside each reading what the checks compare it with. Pure: frames in, a frame out."""

from datetime import datetime

import polars as pl

from expectations.limits import FUTURE_TOLERANCE_S, POWER_FACTOR, REGISTER_STEPS_WH, UNIT_OF_KIND, USABLE_QUALITIES
from pipelines.community import Community
from pipelines.frames import INSTANT, Kind
from pipelines.validate.registers import STORED, neighbours

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

CHANNELS = pl.Schema(
    {"stream_id": pl.String(), "rated_power_w": pl.Float64(), "sign": pl.Float64(), "two_way": pl.Boolean()}
)
"""What the community file says of each stream. Key: stream_id."""

KEY = ("stream_id", "ts")


def channels(community: Community) -> pl.DataFrame:
    """The community's streams as a frame of `CHANNELS`.

    Assets may share a channel. It may then carry the greater of the rated powers, in both directions if one of the
    assets says so; `sign` is that of its first mention, and matters on one-way streams only.
    """
    mentions = pl.DataFrame(
        [
            (
                stream.stream_id,
                1000.0 * (stream.rated_power_kw or asset.rated_power_kw),
                float(stream.sign),
                stream.two_way,
            )
            for asset in community.assets
            for stream in asset.streams
        ],
        schema=CHANNELS,
        orient="row",
    )
    return mentions.group_by("stream_id", maintain_order=True).agg(
        pl.col("rated_power_w").max(), pl.col("sign").first(), pl.col("two_way").any()
    )


def prepare(
    rows: pl.DataFrame, usable_registers: pl.DataFrame, known_channels: pl.DataFrame, *, now: datetime
) -> pl.DataFrame:
    """Add the columns that the suite `readings` looks at.

    Args:
        rows: frame of `ROWS`; every stream is among `known_channels`.
        usable_registers: frame of `USABLE_REGISTERS`; holds at least the ones next in time to each new register row.
        known_channels: frame of `CHANNELS`.
        now: the run's logical time.

    Returns:
        The rows, sorted by stream and time stamp and, within one stamp, newest first, with

        - `number`: "finite", "NaN" or "infinite"; null where there is no value.
        - `rivals`: how many differing values arrived together for this stamp; null without a time stamp.
        - `ahead_s`: seconds from `now` to the reading's last instant.
        - `forward_value`: value after `sign`, of one-way intervals and powers; Wh or W.
        - `register_wh`, `register_before_wh`, `register_after_wh`: the register after `sign`, and the usable ones
          next to it in time; null on two-way streams, whose register may fall.
        - `implied_power_w`: mean power that the reading implies. Of a register: since the usable reading before, or
          until the one after if that is more; one step of the register is let off, and less than a minute counts
          as one (`expectations.limits`).
        - `series_start`: one of `SeriesStart` where a register's new series begins with the reading; "" elsewhere.
        - `waits`: a register reading that breaks its series, and no later one has decided about it yet.
        - `rated_power_w`, `sign`, `two_way`: from the channel.
    """
    value, finite = pl.col("value"), pl.col("value").is_finite()
    unit = pl.col("kind").replace_strict(dict(UNIT_OF_KIND), default=None)
    kind, one_way = pl.col("kind"), ~pl.col("two_way")
    is_register = kind == Kind.REGISTER
    last_instant = pl.max_horizontal("ts", pl.when(~is_register).then("ts_end"))
    span_h = (pl.col("ts_end") - pl.col("ts")).dt.total_microseconds() / 3.6e9
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
            ahead_s=(last_instant - pl.lit(now, dtype=INSTANT)).dt.total_microseconds() / 1e6,
            # A value in a unit that isn't known says nothing about energy or power.
            _wh_or_w=pl.when(finite & (pl.col("unit") == unit)).then(value),
        )
        .with_columns(
            forward_value=pl.when(one_way & ~is_register).then(pl.col("_wh_or_w") * pl.col("sign")),
            register_wh=pl.when(is_register).then(
                pl.col("_wh_or_w") * pl.when(one_way).then(pl.col("sign")).otherwise(1.0)
            ),
            implied_power_w=pl.when(kind == Kind.POWER)
            .then(pl.col("_wh_or_w").abs())
            .when((kind == Kind.INTERVAL) & (span_h > 0))
            .then(pl.col("_wh_or_w").abs() / span_h),
        )
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int64))
    )
    frame = _with_rivals(frame)
    return _with_neighbours(frame, usable_registers, known_channels).drop("row", "_wh_or_w", "_ingested")


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


def _with_neighbours(frame: pl.DataFrame, usable_registers: pl.DataFrame, known_channels: pl.DataFrame) -> pl.DataFrame:
    # Only a reading that is sound by itself can be compared, or be what others are compared with.
    sound = (
        pl.col("register_wh").is_not_null()
        & (pl.col("rivals") == 1)
        & (pl.col("ahead_s") <= FUTURE_TOLERANCE_S)
        & pl.col("quality").is_in(list(USABLE_QUALITIES))
    )
    columns = ("stream_id", "ts", "wh", "row", "limit_w", "two_way", "series_start")
    fresh = frame.filter(sound).with_columns(
        wh="register_wh", limit_w=pl.col("rated_power_w") * POWER_FACTOR, series_start=pl.lit("")
    )
    stored = usable_registers.join(known_channels, on="stream_id").with_columns(
        wh=pl.col("value") * pl.when("two_way").then(1.0).otherwise("sign"),
        row=pl.lit(STORED, dtype=pl.Int64),
        limit_w=pl.col("rated_power_w") * POWER_FACTOR,
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
