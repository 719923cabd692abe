from datetime import datetime

import polars as pl
import pytest

from pipelines.frames import QUALITY_RANK, READINGS, SLOT_ENERGY, Quality, conform


def slots(noon: datetime) -> pl.DataFrame:
    row = {
        "asset_id": "a",
        "slot_start": noon,
        "energy_wh": 250.0,
        "quality": "MEASURED",
        "coverage": 1.0,
        "method": "register",
    }
    return pl.DataFrame([row], schema=SLOT_ENERGY)


def test_a_fitting_frame_passes_with_its_columns_in_order(noon: datetime) -> None:
    turned = slots(noon).select(reversed(SLOT_ENERGY.names()))
    passed = conform(turned, SLOT_ENERGY, door="deliver")
    assert passed.schema == SLOT_ENERGY
    assert passed.row(0, named=True)["energy_wh"] == 250.0


def test_an_empty_frame_passes() -> None:
    assert conform(READINGS.to_frame(), READINGS, door="collect").is_empty()


def test_everything_that_does_not_fit_is_named(noon: datetime) -> None:
    wrong = (
        slots(noon)
        .drop("quality")
        .with_columns(
            pl.col("slot_start").dt.convert_time_zone("Europe/Vienna"), pl.col("energy_wh").cast(pl.Int64), extra=1
        )
    )
    with pytest.raises(TypeError) as caught:
        conform(wrong, SLOT_ENERGY, door="deliver")
    told = str(caught.value)
    assert told.startswith("deliver: ")
    assert "Europe/Vienna" in told
    for part in ("energy_wh: Int64 instead of Float64", "quality: missing instead of String", "extra: unknown"):
        assert part in told


@pytest.mark.parametrize(
    "instant", [pl.Datetime("us"), pl.Datetime("ms", "UTC"), pl.Datetime("us", "Europe/Vienna"), pl.String()]
)
def test_instants_are_utc_in_microseconds(instant: pl.DataType) -> None:
    schema = pl.Schema({**READINGS, "ts": instant})
    with pytest.raises(TypeError, match="ts: "):
        conform(schema.to_frame(), READINGS, door="collect")


def test_quality_falls_from_measured_to_unusable() -> None:
    assert sorted(QUALITY_RANK, key=QUALITY_RANK.__getitem__) == [
        "MEASURED",
        "SUBSTITUTED",
        "ESTIMATED",
        "PROVISIONAL",
        "MISSING",
        "UNUSABLE",
    ]
    assert QUALITY_RANK[Quality.MEASURED] == 0
