"""A database of an earlier release, with data in it, opened by this one."""

from datetime import UTC, datetime

from alembic import command
from sqlalchemy import Connection, bindparam, create_engine, select, text
from sqlmodel.sql.sqltypes import UTCDateTime

from pipelines.store import DiscrepancyRow, SubmissionRow, open_store, table_of
from pipelines.store.migrate import alembic_config

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def insert(connection: Connection, statement: str) -> None:
    connection.execute(text(statement).bindparams(bindparam("at", NOON, type_=UTCDateTime())))


def test_a_store_from_before_repairs_keeps_its_rows(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0005")
        insert(
            connection,
            "INSERT INTO submission (id, asset_id, slot_start, quantity, version, energy_wh, source_slot, quality,"
            " method, state, attempts, leased_by, error, created_at, run_id) VALUES"
            " (1, 'load-1', :at, 'measurement', 0, 120.5, :at, 'MEASURED', 'measured', 'rejected', 1, '', 'no',"
            " :at, 'r')",
        )
        insert(
            connection,
            "INSERT INTO discrepancy (asset_id, slot_start, quantity, expected_wh, exchange_wh, diagnosis,"
            " evidence, repair, opened_at, run_id) VALUES"
            " ('load-1', :at, 'forecast', 120.5, 0.0, 'late', 'not sent in time', 'Nothing', :at, 'r')",
        )
    engine.dispose()
    store = open_store(database_url)
    sent, differs = table_of(SubmissionRow).c, table_of(DiscrepancyRow).c
    with store.reading() as connection:
        submission = connection.execute(select(sent.energy_wh, sent.state, sent.resends, sent.resent_at)).one()
        standing = connection.execute(select(differs.slot_start, differs.lost_at, differs.lost_reason)).one()
    store.close()
    assert tuple(submission) == (120.5, "rejected", 0, None)
    assert tuple(standing) == (NOON, None, "")
