from datetime import UTC, datetime

import pytest

from pipelines.report.backtest import last_backtest
from pipelines.store import ForecastChoiceRow, Store, insert_rows
from tests.report.reading import section, text_of
from tests.report.test_problems import written
from tests.report.weeks import weeks_of

FROM, UNTIL = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def choice(asset_id: str, method: str, slots: int, **errors_wh: float) -> dict[str, object]:
    return {
        "asset_id": asset_id,
        "method": method,
        "weights": {},
        "mean_errors_wh": errors_wh,
        "scored_slots": slots,
        "scored_from": FROM,
        "scored_until": UNTIL,
        "chosen_at": UNTIL,
        "run_id": "r",
    }


@pytest.fixture
def told(store: Store):
    """Four assets; a PV plant and a load of them were scored, and something that isn't in the file any more."""
    weeks = weeks_of(4)
    weeks.write(store)
    first, second = (asset.asset_id for asset in weeks.community.assets[:2])
    rows = [
        choice(first, "model", 100, persistence=20.0, model=10.0, yesterday=30.0),
        choice(second, "persistence", 300, persistence=40.0, model=44.0, yesterday=40.0),
        choice("gone", "model", 100, persistence=1.0, model=0.1),
    ]
    with store.writing() as connection:
        insert_rows(connection, ForecastChoiceRow, rows)
    return weeks


def test_errors_are_summed_over_assets_beside_those_of_repeating(store: Store, told) -> None:
    with store.reading() as connection:
        found = last_backtest(connection, told.community)
    assert found is not None
    assert found.methods == ("persistence", "as yesterday", "model")
    everything = found.rows[0]
    assert (everything.title, everything.assets, everything.slots) == ("all assets", 2, 400)
    # (20 x 100 + 40 x 300) / 400
    assert everything.persistence_wh == 35.0
    # (30 x 100 + 40 x 300) / 14,000 and (10 x 100 + 44 x 300) / 14,000
    assert everything.shares == pytest.approx((1.0, 15_000 / 14_000, 14_200 / 14_000))
    assert everything.chosen == "1 model, 1 persistence"
    assert [row.title for row in found.rows] == ["all assets", "loads", "PV"]


def test_page_shows_it(store: Store, told, tmp_path) -> None:
    text = text_of(section(written(store, told, tmp_path), "backtest"))
    assert "over slots from 01 Feb 2026 to 01 Mar 2026" in text
    assert "all assets 2 35.0 100 % 107 % 101 % 1 model, 1 persistence" in text


def test_nothing_chosen_is_no_section(store: Store, tmp_path) -> None:
    weeks = weeks_of(2)
    weeks.write(store)
    with store.reading() as connection:
        assert last_backtest(connection, weeks.community) is None
    assert 'id="backtest"' not in written(store, weeks, tmp_path)
