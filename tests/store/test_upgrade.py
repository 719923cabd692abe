"""A database of an earlier release, with data in it, opened by this one."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from alembic import command
from sqlalchemy import Connection, bindparam, create_engine, select, text
from sqlmodel.sql.sqltypes import UTCDateTime

from pipelines.store import AssetRow, DiscrepancyRow, SubmissionRow, open_store, table_of
from pipelines.store.migrate import alembic_config

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SLOT = timedelta(minutes=15)


def insert(connection: Connection, statement: str, at: datetime = NOON) -> None:
    connection.execute(text(statement).bindparams(bindparam("at", at, type_=UTCDateTime())))


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


SENT_BEFORE = (
    "INSERT INTO submission (id, asset_id, slot_start, quantity, version, energy_wh, source_slot, quality, method,"
    " state, attempts, leased_by, error, created_at, run_id) VALUES"
    " ({number}, '{asset}', :at, '{quantity}', 0, 1.0, :at, 'MEASURED', 'measured', '{state}', 1, '', '', :at, 'r')"
)
READ_BEFORE = "INSERT INTO exchange_energy VALUES ('{asset}', :at, 'forecast', 1.0, :at, 'r')"
LIVE_BEFORE = "INSERT INTO asset (asset_id, name, live_since, run_id) VALUES ('{asset}', 'A', :at, 'r')"
LISTED_BEFORE = (
    "INSERT INTO discrepancy (asset_id, slot_start, quantity, diagnosis, evidence, repair, opened_at, run_id)"
    " VALUES ('{asset}', :at, 'forecast', 'late', '', '', :at, 'r')"
)


def test_an_upgrade_finds_how_far_each_asset_was_compared(database_url: str) -> None:
    """Slot by slot: "1" a forecast that was read back, "?" accepted, "!" listed, "-" expired; "m" a measurement."""
    histories = {"all": "1111", "hole": "1?11", "listed": "1!11", "late": "11??", "measured": "1m11", "ended": "1-11"}
    engine, number = create_engine(database_url), 0
    states = {"1": "confirmed", "?": "accepted", "!": "accepted", "m": "accepted", "-": "expired"}
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0014")
        for asset, history in ({"new": ""} | histories).items():
            insert(connection, LIVE_BEFORE.format(asset=asset))
            for place, sign in enumerate(history):
                at, number = NOON + (place + 1) * SLOT, number + 1
                words = {"asset": asset, "quantity": "measurement" if sign == "m" else "forecast"}
                insert(connection, SENT_BEFORE.format(number=number, state=states[sign], **words), at)
                if sign == "1":
                    insert(connection, READ_BEFORE.format(asset=asset), at)
                if sign == "!":
                    insert(connection, LISTED_BEFORE.format(asset=asset), at)
    engine.dispose()
    with closing(open_store(database_url)) as store, store.reading() as connection:
        row = table_of(AssetRow).c
        found = dict(connection.execute(select(row.asset_id, row.compared_through)).tuples().all())
    newest = {"all": 4, "hole": 2, "listed": 4, "late": 2, "measured": 4, "ended": 4}
    assert found == {"new": None} | {asset: NOON + place * SLOT for asset, place in newest.items()}
