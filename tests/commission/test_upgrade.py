"""A database of an earlier release, with a day in it, whose assets are walked after the upgrade."""

from alembic import command
from sqlalchemy import bindparam, create_engine, text
from sqlmodel.sql.sqltypes import UTCDateTime

from pipelines.store import open_store
from pipelines.store.migrate import alembic_config
from tests.commission.history import NOON, SLOT, History, Walker, community, energies, told_of


def test_a_store_from_before_commissioning_is_walked_with_what_it_has(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0005")
        statement = text(
            "INSERT INTO discrepancy (asset_id, slot_start, quantity, expected_wh, exchange_wh, diagnosis, evidence,"
            " repair, opened_at, run_id) VALUES ('a', :at, 'forecast', 1.0, 0.0, 'late', 'seen', 'Nothing', :at, 'r')"
        )
        connection.execute(statement.bindparams(bindparam("at", NOON - 30 * SLOT, type_=UTCDateTime())))
    engine.dispose()
    store = open_store(database_url)
    history = History(store)
    history.day("a", energies(96))
    found = Walker(history, community(("A", "load")))()
    assert told_of(found)["A"] == ("collecting", "confirmed", "")
    assert found.standings[0].before is not None
    assert found.standings[0].before.told.startswith("27 of 96 slots in a row confirmed")
    store.close()
