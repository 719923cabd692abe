"""The last backtest as its result stands in the store: how each way of forecasting did, by type of asset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from pipelines.community import Community, ForecastMethod
from pipelines.report import queries as q
from pipelines.report.backtest_chart import LABELS, TITLES
from pipelines.store import ForecastChoiceRow, table_of

BASE = ForecastMethod.PERSISTENCE.value
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class TypeScores:
    """One type of asset, or all."""

    title: str
    assets: int
    slots: int
    """That were scored, of all its assets together."""

    persistence_wh: float
    """Mean absolute error of a slot where the last value is repeated."""

    shares: tuple[float | None, ...]
    """Each method's error as a share of that, in the order of `Backtest.methods`; None: not scored, or nothing to
    compare with."""

    chosen: str
    """Which methods its assets take, and how many."""


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """What the newest choice of each asset rests on."""

    methods: tuple[str, ...]
    """Names for people."""

    rows: tuple[TypeScores, ...]
    """All assets first."""

    scored_from: datetime
    scored_until: datetime


def last_backtest(connection: Connection, community: Community) -> Backtest | None:
    """The stored result; None where nothing was chosen yet.

    Args:
        connection: to read with.
        community: whose assets; others are left out.
    """
    table = table_of(ForecastChoiceRow)
    types = {asset.asset_id: asset.type.value for asset in community.assets}
    found = connection.execute(select(table).where(q.among(connection, table.c.asset_id, types))).all()
    scored = [row for row in found if BASE in row.mean_errors_wh]
    if not scored:
        return None
    methods = [name for name in LABELS if any(name in row.mean_errors_wh for row in scored)]
    by_type: dict[str, list[Any]] = {ALL: scored}
    for row in scored:
        by_type.setdefault(types[row.asset_id], []).append(row)
    return Backtest(
        methods=tuple(LABELS[name] for name in methods),
        rows=tuple(_scores(kind, by_type[kind], methods) for kind in TITLES if kind in by_type),
        scored_from=min(row.scored_from for row in scored),
        scored_until=max(row.scored_until for row in scored),
    )


def _scores(kind: str, rows: Sequence[Any], methods: Sequence[str]) -> TypeScores:
    slots = sum(row.scored_slots for row in rows)
    base_wh = _error_wh(rows, BASE) or 0.0
    counted = Counter(row.method for row in rows)
    return TypeScores(
        title=TITLES[kind],
        assets=len(rows),
        slots=slots,
        persistence_wh=base_wh / slots if slots else 0.0,
        shares=tuple(
            error_wh / base_wh if base_wh and (error_wh := _error_wh(rows, name)) is not None else None
            for name in methods
        ),
        chosen=_in_words(counted),
    )


def _error_wh(rows: Sequence[Any], method: str) -> float | None:
    """Sum of the absolute errors; None where some asset has no score of the method."""
    if any(method not in row.mean_errors_wh for row in rows):
        return None
    return float(sum(row.mean_errors_wh[method] * row.scored_slots for row in rows))


def _in_words(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {LABELS.get(name, name.replace('_', ' '))}" for name, number in counted.items())
