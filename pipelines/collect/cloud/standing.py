"""How an account stands between runs: when it was asked, and whether it may be asked."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from pipelines.store import AccountRow, Store, insert_rows


def read_account(store: Store, account: str) -> AccountRow:
    """What is remembered of an account; nothing of one that was never asked."""
    row = AccountRow
    names = (row.account, row.polled_at, row.next_poll_at, row.stopped_at, row.stopped_until, row.reason)
    with store.reading() as connection:
        found = connection.execute(select(*map(col, names)).where(col(row.account) == account)).one_or_none()
    return AccountRow(account=account) if found is None else AccountRow(**found._asdict())


def note_account(store: Store, account: str, **changes: Any) -> None:  # noqa: ANN401 - columns of many types
    """Remember something of an account."""
    with store.writing() as connection:
        insert_rows(connection, AccountRow, [{"account": account}])
        connection.execute(update(AccountRow).where(col(AccountRow.account) == account).values(**changes))


def stop_account(store: Store, account: str, *, now: datetime, until: datetime, reason: str) -> None:
    """Make no more requests of it before `until`."""
    note_account(store, account, stopped_at=now, stopped_until=until, reason=reason)


def resume_account(store: Store, account: str) -> bool:
    """Let a stopped account be asked again at once; whether it was stopped."""
    stopped = read_account(store, account).stopped_until is not None
    if stopped:
        note_account(store, account, stopped_at=None, stopped_until=None, reason="")
    return stopped
