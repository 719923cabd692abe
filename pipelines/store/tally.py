"""What all runs have done since the beginning, added up as each ends: counters that never fall.

They could be counted from the rows themselves, which takes the longer the older the store is, and would fall once rows
age out. Sums are added in the transaction that ends the run's line in the log, so each run counts once, whichever
worker it ran on; a run that was killed doesn't count.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, SQLModel

from pipelines.store.bulk import table_of

Key = tuple[str, *tuple[str, ...]]
"""A counter's name, and the values of its labels."""

Amounts = Mapping[Key, float]


class TallyRow(SQLModel, table=True):
    """One counter."""

    __tablename__ = "tally"

    name: str = Field(primary_key=True)
    labels: str = Field(primary_key=True)
    """Values of its labels, as a JSON list."""

    total: float


def add_up(connection: Connection, amounts: Amounts) -> None:
    """Add the amounts to what stands. Keys are taken in one order, so that two runs don't wait for each other.

    Args:
        connection: inside a write transaction.
        amounts: by counter; zero makes the counter begin.
    """
    if not amounts:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    table = table_of(TallyRow)
    statement: Any = dialect.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=["name", "labels"], set_={"total": table.c.total + statement.excluded.total}
    )
    rows = [{"name": key[0], "labels": json.dumps(key[1:]), "total": amounts[key]} for key in sorted(amounts)]
    connection.execute(statement, rows)


def totals(connection: Connection) -> dict[Key, float]:
    """All counters."""
    row = table_of(TallyRow).c
    return {
        (name, *json.loads(labels)): total
        for name, labels, total in connection.execute(select(row.name, row.labels, row.total)).tuples()
    }
