"""The forecast's goal on a year of 36 real assets, and its time per asset and slot.

    python -m tests.benchmarks.forecast [goal] [unseen] [time]

`goal`: methods are fitted and chosen on the first nine months of SimBench 2016, and scored once on the last three.
`unseen`: the same, but each asset is foretold by a model that never saw its profile.
`time`: forecasts of one slot for ten thousand assets, from a store that holds what they need, reading included.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from pipelines.community import AssetType, ForecastMethod
from pipelines.convert.forecast.backtest import CHOSEN, SCORES, Cuts, backtest, score
from pipelines.convert.forecast.calendar_facts import Calendar
from pipelines.convert.forecast.features import FEATURES
from pipelines.convert.forecast.fitting import Fitted, fit_origins
from pipelines.convert.forecast.history import GridHistory, Subject, grid_of
from pipelines.convert.forecast.live import foretell
from pipelines.convert.forecast.tables import by_type, typed
from pipelines.convert.forecast.windows import Grid
from pipelines.daylight import place_of_zone
from pipelines.store import ForecastChoiceRow, ForecastModelRow, Store, insert_rows, open_store
from tests.convert.forecast.helpers import community, store_slots, us
from tests.simbench_year import START, assets, slot_energy

QUARTER = timedelta(minutes=15)
QUARTER_US = 900_000_000
OCTOBER, END = datetime(2016, 9, 30, 22, tzinfo=UTC), datetime(2016, 12, 31, 23, tzinfo=UTC)
CALENDAR = Calendar(length=QUARTER, zone="Europe/Berlin", holidays_of="DE", place=place_of_zone("Europe/Berlin"))
GOAL = 0.85
MANY = 10_000
out = Console(width=140)


def subjects() -> list[Subject]:
    return [
        Subject(asset_id=row["asset_id"], type=AssetType(row["kind"]), full_wh=row["p_nom_kw"] * 250.0)
        for row in assets().iter_rows(named=True)
    ]


def year() -> Grid:
    slots = slot_energy().with_columns(quality=pl.lit("MEASURED"))
    return grid_of(slots, [s.asset_id for s in subjects()], start=START, end=END, length=QUARTER)


def goal(grid: Grid) -> None:
    """Choosing: from July on, by what was known in July and in mid-August; scored: from October on."""
    choosing = [datetime(2016, 6, 30, 22, tzinfo=UTC), datetime(2016, 8, 14, 22, tzinfo=UTC)]
    at = Cuts(start_us=us(START), choosing_us=[us(o) for o in choosing], scored_us=us(OCTOBER), end_us=us(END))
    began, cpu = time.perf_counter(), time.process_time()
    found = backtest(GridHistory(grid), subjects(), CALENDAR, at=at, with_model=True)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    show("Fitted on January to September 2016, scored on October to December", found.scores)
    names = [method.value for method in found.chosen.values()]
    out.print(f"chosen: { {name: names.count(name) for name in sorted(set(names))} }")
    out.print(f"backtest of {len(found.chosen)} assets (three fits): {took:.0f} s, {cpu:.0f} s of CPU")
    total = total_of(found.scores)
    for reading, key in (("sum of absolute errors", "ratio"), ("mean of the assets' ratios", "mean_ratio")):
        reached = "reached" if total[key] <= GOAL else "NOT reached"
        out.print(f"goal, {reading}: {1 - total[key]:.1%} below persistence, 15 % wanted: {reached}")


def unseen(grid: Grid) -> None:
    """Assets share 16 profiles. Each of four groups of profiles is foretold by a model of the other three."""
    profile = {row["asset_id"]: row["profile"] for row in assets().iter_rows(named=True)}
    kinds = {row["profile"]: row["kind"] for row in assets().iter_rows(named=True)}
    group: dict[str, int] = {}
    for kind in sorted(set(kinds.values())):
        of_kind = sorted(name for name, its in kinds.items() if its == kind)
        group |= {name: number % 4 for number, name in enumerate(of_kind)}
    parts = []
    for number in range(4):
        left_out = [s for s in subjects() if group[profile[s.asset_id]] == number]
        others = [s for s in subjects() if group[profile[s.asset_id]] != number]
        parts.append(scored_by_others(grid, left_out, others))
    show("The same by a model that never saw the asset's profile", pl.concat(parts))


def scored_by_others(grid: Grid, left_out: Sequence[Subject], others: Sequence[Subject]) -> pl.DataFrame:
    def fit(some: Sequence[Subject], *, with_model: bool) -> Fitted:
        return fit_origins(
            GridHistory(grid),
            some,
            CALENDAR,
            start_us=us(START),
            origins_us=[us(OCTOBER)],
            with_model=with_model,
        )[0]

    own, model = fit(left_out, with_model=False), fit(others, with_model=True).model
    stage = Fitted(origin_us=own.origin_us, model=model, weights=own.weights)
    found = score(GridHistory(grid), left_out, CALENDAR, stages=[stage], end_us=us(END))[0]
    return found.filter(pl.col("method").is_in(["persistence", "model"]))


def take_time(grid: Grid) -> None:
    """One slot of MANY assets, each a copy of a real one, on SQLite."""
    now = datetime(2016, 10, 5, 10, tzinfo=UTC)
    few = fit_origins(
        GridHistory(grid), subjects(), CALENDAR, start_us=us(START), origins_us=[us(OCTOBER)], with_model=True
    )[0]
    assert few.model is not None
    ids = [f"{number:05}" for number in range(MANY)]
    known = community(ids, holidays="DE")
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'slotfeed.sqlite'}")
        fill(store, ids, now)
        keep(store, ids, few.model.text, now)
        times = []
        for _ in range(3):
            began, cpu = time.perf_counter(), time.process_time()
            with store.reading() as connection:
                found = foretell(connection, known, [(asset_id, now) for asset_id in ids])
            times.append((time.perf_counter() - began, time.process_time() - cpu))
        store.close()
    assert found.height == MANY
    assert set(found["method"]) == {"model"}
    out.print(
        f"forecasts of one slot for {MANY:,} assets by the model, reading included: "
        + ", ".join(f"{wall:.2f} s ({cpu:.2f} s of CPU)" for wall, cpu in times)
        + f"; at best {min(times)[0] / MANY * 1000:.3f} ms per asset and slot (1 ms wanted)"
    )


def fill(store: Store, ids: Sequence[str], now: datetime) -> None:
    """Eight days of every asset, a few hundred assets at a time."""
    slots = slot_energy(now - timedelta(days=8), now - QUARTER)
    real = slots.partition_by("asset_id", maintain_order=True)
    for start in range(0, len(ids), 200):
        some = [
            real[number % len(real)].with_columns(asset_id=pl.lit(ids[number]), quality=pl.lit("MEASURED"))
            for number in range(start, min(start + 200, len(ids)))
        ]
        store_slots(store, pl.concat(some))


def keep(store: Store, ids: Sequence[str], text: str, now: datetime) -> None:
    times = {"scored_from": now, "scored_until": now, "chosen_at": now, "run_id": "r"}
    choice = {
        "method": ForecastMethod.MODEL.value,
        "weights": {"persistence": 1.0},
        "mean_errors_wh": {},
        "scored_slots": 1,
    }
    model = {"library": "lightgbm", "features": list(FEATURES), "text": text, "run_id": "r"}
    with store.writing() as connection:
        insert_rows(connection, ForecastChoiceRow, [{"asset_id": asset_id} | choice | times for asset_id in ids])
        insert_rows(
            connection, ForecastModelRow, [model | {"fitted_from": now, "fitted_until": now, "created_at": now}]
        )


def show(title: str, scores: pl.DataFrame) -> None:
    types = {s.asset_id: s.type.value for s in subjects()}
    rows = by_type(typed(scores, types))
    methods = [name for name in [*(m.value for m in ForecastMethod), CHOSEN] if name in set(rows["method"])]
    table = Table(title=f"{title}: errors as a share of persistence's (in brackets: mean of the assets' own shares)")
    for name in ("type", "assets", "persistence Wh", *methods[1:]):
        table.add_column(name, justify="right")
    for kind in ("all", *dict.fromkeys(types.values())):
        of = {row["method"]: row for row in rows.filter(pl.col("type") == kind).iter_rows(named=True)}
        shares = [f"{of[m]['ratio']:.3f} ({of[m]['mean_ratio']:.3f})" for m in methods[1:]]
        first = of["persistence"]
        table.add_row(kind, str(first["assets"]), f"{first['mean_error_wh']:.1f}", *shares)
    out.print(table)


def total_of(scores: pl.DataFrame) -> dict[str, float]:
    assert scores.schema == SCORES
    rows = by_type(typed(scores, {s.asset_id: s.type.value for s in subjects()}))
    found: dict[str, float] = rows.filter(pl.col("type") == "all", pl.col("method") == CHOSEN).row(0, named=True)
    return found


def main() -> None:
    wanted = sys.argv[1:] or ["goal", "unseen", "time"]
    grid = year()
    assert not np.isnan(grid.energy_wh).any()
    for name, part in (("goal", goal), ("unseen", unseen), ("time", take_time)):
        if name in wanted:
            part(grid)


if __name__ == "__main__":
    main()
