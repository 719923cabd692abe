"""How many discrepancies a period has, by what has become of them."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pipelines.report import queries as q


@dataclass(kw_only=True)
class Discrepancies:
    """Their numbers."""

    open_by_asset: Counter[str] = field(default_factory=Counter)
    open_by_cause: Counter[str] = field(default_factory=Counter)
    closed_by_cause: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    lost_wh: float = 0.0
    """By how much the market counts the lost ones wrongly."""


def count_discrepancies(connection: Connection, scope: q.Scope) -> Discrepancies:
    """Those of the scope."""
    found = Discrepancies()
    for row in connection.execute(q.discrepancy_totals(connection, scope)):
        if row.open:
            found.open_by_asset[row.asset_id] += row.open
            found.open_by_cause[row.diagnosis] += row.open
        if row.closed:
            found.closed_by_cause[row.diagnosis] += row.closed
        found.lost += row.lost
        found.lost_wh += row.lost_wh or 0.0
    return found
