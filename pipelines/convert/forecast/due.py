"""When forecasts are to be chosen anew."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import col

from pipelines.store import ForecastChoiceRow, Store

CHOOSE_EVERY = timedelta(days=7)
"""Seasons and households change over weeks, and a backtest takes minutes. The number is ours."""


def choice_is_due(store: Store, *, now: datetime) -> bool:
    """The last choice is CHOOSE_EVERY old, less an hour for runs that begin a little earlier, or there is none.

    Args:
        store: holds the choices.
        now: the run's logical time.
    """
    query = select(func.max(col(ForecastChoiceRow.chosen_at)))
    with store.reading() as connection:
        newest: datetime | None = connection.execute(query).scalar_one()
    return newest is None or now - newest >= CHOOSE_EVERY - timedelta(hours=1)
