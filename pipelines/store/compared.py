"""How far an asset was compared with the exchange, as an expression for queries."""

from datetime import datetime

from sqlalchemy import ColumnElement, FromClause, func


def compared_until(asset: FromClause) -> ColumnElement[datetime]:
    """The first slot in which the asset may not have been compared yet; before any comparison its first."""
    return func.coalesce(asset.c.compared_through, asset.c.live_since)
