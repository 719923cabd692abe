"""Where a discrepancy stands, as conditions for queries."""

from sqlalchemy import ColumnElement, Table, and_, not_, or_


def standing(row: Table) -> ColumnElement[bool]:
    """Both sides still differ: it is open or lost."""
    return row.c.closed_at.is_(None)


def given_up(row: Table) -> ColumnElement[bool]:
    """It is lost. What agreed since then and differs anew is open again."""
    return and_(standing(row), row.c.lost_at.is_not(None), row.c.lost_at >= row.c.opened_at)


def still_open(row: Table) -> ColumnElement[bool]:
    """Neither mended nor given up."""
    return and_(standing(row), or_(row.c.lost_at.is_(None), row.c.lost_at < row.c.opened_at))


def closed(row: Table) -> ColumnElement[bool]:
    """Mended: both sides agree."""
    return not_(standing(row))
