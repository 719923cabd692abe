"""Values as a driver hands them over -> typed columns: stamps, numbers, texts.

Databases write an instant in many forms, SQLite as text in whatever form the writer chose.
What can't be read becomes null: such a row is kept without a stamp and goes to quarantine.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import polars as pl

from pipelines.community import TimeType
from pipelines.errors import SourceError
from pipelines.frames import INSTANT

LOCAL = pl.Datetime("us")
"""A stamp as a clock on the wall shows it."""

ISO = (
    r"^\s*(?<date>\d{4}-\d{2}-\d{2})[ T](?<clock>\d{2}:\d{2})(?<seconds>:\d{2}(?:\.\d+)?)?"
    r"\s*(?:(?<zulu>[Zz])|(?<sign>[+-])(?<hours>\d{2})(?::?(?<minutes>\d{2}))?)?\s*$"
)

EPOCH_US = {TimeType.EPOCH_S: 1e6, TimeType.EPOCH_MS: 1e3}

LATEST_EPOCH_S = 1e11
"""An epoch number above is in milliseconds: as seconds it would be the year 5138."""


def read_stamps(values: Sequence[object], time_type: TimeType, *, where: str) -> pl.Series:
    """Stamps of one column.

    Args:
        values: as the driver returned them.
        time_type: how the community file says they are written.
        where: source and column, for messages.

    Returns:
        `LOCAL` for naive stamps, else `INSTANT`; null where a value can't be read.

    Raises:
        SourceError: the stamps carry a zone where the file says they don't, or the reverse; or they are
            numbers where it says they are not, or the reverse.
    """
    epoch = time_type in EPOCH_US
    strange = next((v for v in values if isinstance(v, datetime if epoch else (int, float, Decimal))), None)
    if strange is not None:
        raise SourceError(f"{where}: time_type is {time_type.value}, but a stamp is {strange}; change time_type")
    if epoch:
        return _from_microseconds(numbers(values) * EPOCH_US[time_type])
    naive, instants = _calendar(values)
    wanted, other = (naive, instants) if time_type is TimeType.NAIVE else (instants, naive)
    if other.is_not_null().any():
        has, remedy = (
            ("a zone or offset", "set time_type: timestamptz")
            if time_type is TimeType.NAIVE
            else ("no zone or offset", "set time_type: naive and name its time_zone")
        )
        sample = other.drop_nulls().dt.strftime("%Y-%m-%d %H:%M:%S")[0]
        raise SourceError(
            f"{where}: time_type is {time_type.value}, but the stamps carry {has} (read as {sample}); {remedy}"
        )
    return wanted


def read_clock(values: Sequence[object], zone: str) -> pl.Series:
    """When the database got its rows, in whatever form it writes that: an `INSTANT` column.

    Naive stamps are taken in `zone`, the first pass of a repeated hour; epoch numbers in seconds or milliseconds.
    """
    if any(isinstance(value, (int, float, Decimal)) for value in values):
        epoch = numbers(values)
        seconds = epoch.zip_with(epoch.abs() <= LATEST_EPOCH_S, epoch / 1e3)
        return _from_microseconds(seconds * 1e6)
    naive, instants = _calendar(values)
    local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    return instants.zip_with(instants.is_not_null(), local)


def numbers(values: Sequence[object]) -> pl.Series:
    """A Float64 column. Text that is no number becomes NaN, which no expectation lets through."""
    return pl.Series(values=[_number(value) for value in values], dtype=pl.Float64())


def texts(values: Sequence[object]) -> pl.Series:
    """A String column: ids, registers, units and quality codes, whatever type the database gives them."""
    return pl.Series(values=[_text(value) for value in values], dtype=pl.String())


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, (float, int, Decimal)):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value.strip() if value else None
    if isinstance(value, (float, Decimal)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _from_microseconds(microseconds: pl.Series) -> pl.Series:
    finite = microseconds.set(~microseconds.is_finite().fill_null(value=False), None)
    return finite.round().cast(pl.Int64()).cast(LOCAL).dt.replace_time_zone("UTC")


def _calendar(values: Sequence[object]) -> tuple[pl.Series, pl.Series]:
    """The naive stamps and the instants among `values`, each null where the other is."""
    if any(isinstance(value, str) for value in values):
        return _from_text([value.isoformat() if isinstance(value, datetime) else value for value in values])
    naive = [value if isinstance(value, datetime) and value.tzinfo is None else None for value in values]
    aware = [value if isinstance(value, datetime) and value.tzinfo is not None else None for value in values]
    return pl.Series(values=naive, dtype=LOCAL), pl.Series(values=aware, dtype=INSTANT)


def _from_text(values: Sequence[object]) -> tuple[pl.Series, pl.Series]:
    part = pl.col("part").struct.field
    minutes = part("hours").cast(pl.Int64()) * 60 + part("minutes").fill_null("0").cast(pl.Int64())
    offset = pl.duration(minutes=pl.when(part("sign") == "-").then(-minutes).otherwise(minutes).fill_null(0))
    frame = (
        pl.DataFrame({"text": pl.Series([v if isinstance(v, str) else None for v in values], dtype=pl.String())})
        .select(part=pl.col("text").str.extract_groups(ISO))
        .select(
            clock=(part("date") + " " + part("clock") + part("seconds").fill_null(":00")).str.to_datetime(
                "%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False
            ),
            offset=offset,
            aware=part("zulu").is_not_null() | part("hours").is_not_null(),
        )
        .select(
            naive=pl.when(~pl.col("aware")).then("clock"),
            instant=pl.when("aware").then(pl.col("clock") - pl.col("offset")).dt.replace_time_zone("UTC"),
        )
    )
    return frame["naive"], frame["instant"]
