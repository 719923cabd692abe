"""How a database finds the rows of the statements that it is given."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from pipelines.store import Store

EXPLAINED = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}


@contextlib.contextmanager
def planned(store: Store) -> Iterator[list[str]]:
    """The plan, in the database's words, of each statement that the block executes, save those of an executemany."""
    found: list[str] = []
    words = "EXPLAIN" if store.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.split(maxsplit=1)[0] in EXPLAINED and not many:
            # Past SQLAlchemy, which would have this explained too. The statement is as it runs.
            rows = connection.connection.driver_connection.execute(f"{words} {statement}", parameters)
            found.append("\n".join(str(row[-1]) for row in rows.fetchall()))

    event.listen(store.engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(store.engine, "before_cursor_execute", explain)
