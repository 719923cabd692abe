"""The door to rows that have left the tables for Parquet files: looked at beside the others, or brought back.

Who only looks sees both through `looking_back`: for one connection, a view of the table and the files takes the table's
name, so that every query stays as it is. Who writes brings the stretch back first (`bring_back`): versions go on from
where they stood. What was brought back leaves again with the next run of `pipelines.retention`.
"""

import contextlib
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import polars as pl
from polars.exceptions import PolarsError
from sqlalchemy import Connection

from pipelines.community import Community
from pipelines.errors import StoreError
from pipelines.frames import INSTANT, Quantity, State
from pipelines.store.aged_tables import KINDS, SUBMISSIONS, AgedKind, Part, parts_of
from pipelines.store.bulk import table_of
from pipelines.store.engine import Store
from pipelines.store.large import beside, lay_down

FOLDER_OPTION = "slotfeed_aged"
"""Execution option of an engine: where its files are."""

LEAD_IN = timedelta(days=2)
"""Before and after a stretch that is asked for, what its first and last slots hang on is brought, too. Ours."""

MOST_DAYS_BACK = 31
"""How many days of files are searched for a value that an asset has stood on. Ours."""

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def aged_folder(community: Community, folder: Path) -> Path:
    """Where a community's files are.

    Args:
        community: names the folder and the simulation.
        folder: of the community file, where a relative path starts.
    """
    simulation = quote(community.community.simulation_uuid, safe="")
    if not simulation.strip("."):
        simulation = simulation.replace(".", "%2E")
    return folder / Path(community.retention.folder).expanduser() / simulation


def with_aged(store: Store, root: Path) -> Store:
    """The same store, which knows where its files are."""
    return Store(store.engine.execution_options(**{FOLDER_OPTION: str(root)}))


@contextlib.contextmanager
def looking_back(
    store: Store, *, start: datetime | None, end: datetime | None, kinds: Sequence[AgedKind] = KINDS
) -> Iterator[Connection]:
    """A connection for queries over [start, end), whose tables have the aged rows as well.

    Args:
        store: the community's.
        start: None: from the first row on.
        end: None: to the last.
        kinds: those that are asked for.

    Raises:
        StoreError: a file isn't there or not as it was written.
    """
    first, last = _widened(start, end)
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            # A row that leaves meanwhile must not be missed: all queries see the tables as they were at the first.
            connection.execution_options(isolation_level="REPEATABLE READ")
        # No end: what stood on before the window lies in files where others of its age do.
        wanted = [kind for kind in kinds if parts_of(connection, [kind], start=first)]
        if not wanted:
            yield connection
            return
        try:
            for model in {kind.model: None for kind in wanted}:
                same = [kind for kind in wanted if kind.model is model]
                rows = [_with_what_stood(connection, kind, first, last, None) for kind in same]
                _shadow(connection, same[0], pl.concat(rows))
            yield connection
        finally:
            # Views and temporary tables go with the transaction.
            connection.rollback()


def bring_back(
    connection: Connection,
    *,
    start: datetime,
    end: datetime,
    series: Mapping[AgedKind, Collection[str] | None],
) -> int:
    """Write the aged rows of [start, end), and of days around it, into the tables again; those that stand there stay.

    Cheap where nothing has aged.

    Args:
        connection: inside a write transaction.
        start: of the stretch.
        end: of the stretch.
        series: kind -> of which series; None: of all.

    Returns:
        Rows written.

    Raises:
        StoreError: a file isn't there or not as it was written.
    """
    first, last = _widened(start, end)
    written = 0
    for kind, wanted in series.items():
        if not parts_of(connection, [kind], start=first, end=last):
            continue
        rows = _with_what_stood(connection, kind, first, last, wanted)
        if rows.is_empty():
            continue
        table, names = table_of(kind.model), ", ".join(rows.columns)
        with beside(connection, table, rows) as staged:
            # Names of tables and columns alone, as the models have them.
            found = f"SELECT {names} FROM {staged.name} WHERE true"  # noqa: S608
            added = connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) {found} ON CONFLICT DO NOTHING")
            written += added.rowcount
    return written


def aged_rows(
    connection: Connection, kind: AgedKind, start: datetime, end: datetime, series: Collection[str] | None = None
) -> pl.DataFrame:
    """Rows of [start, end) in the files, of each key the newest.

    Raises:
        StoreError: a file isn't there or not as it was written.
    """
    parts = parts_of(connection, [kind], start=start, end=end)
    if not parts:
        return kind.schema.to_frame()
    root, among = folder_of(connection), _among(kind, series)
    within = pl.col(kind.time).is_between(pl.lit(start, dtype=INSTANT), pl.lit(end, dtype=INSTANT), closed="left")
    frames = [read_part(root, kind, part).filter(within, among) for part in parts]
    return pl.concat([kind.schema.to_frame(), *frames]).unique(kind.key, keep="last", maintain_order=True)


def read_part(root: Path, kind: AgedKind, part: Part) -> pl.DataFrame:
    """A file's rows, in the table's columns; one that the table got later has its value for old rows: none.

    Raises:
        StoreError: it isn't there or not as it was written.
    """
    path = root / part.file
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise StoreError(
                f"{kind.name} of {part.day}: the file {path} isn't as it was written; put it back from a backup "
                "(`slotfeed retention verify` names all such files)"
            )
        found = pl.read_parquet(io.BytesIO(content))
    except (OSError, PolarsError) as error:
        raise StoreError(
            f"{kind.name} of {part.day} have aged out of the database, and their file {path} can't be read "
            f"({getattr(error, 'strerror', None) or error}); put it back from a backup, or let this machine reach the "
            "folder that `retention: folder` names"
        ) from error
    missing = [pl.lit(None, dtype=kind_).alias(name) for name, kind_ in kind.schema.items() if name not in found]
    return found.with_columns(missing).select(kind.schema.names()).cast(pl.Schema(kind.schema))


def folder_of(connection: Connection) -> Path:
    """Where the files of a connection's store are.

    Raises:
        StoreError: the store was opened without a community file, and doesn't know.
    """
    known = connection.get_execution_options().get(FOLDER_OPTION)
    if known is None:
        raise StoreError("rows have aged out of this database; open it by its community file, which names their folder")
    return Path(known)


def _among(kind: AgedKind, series: Collection[str] | None) -> pl.Expr:
    return pl.lit(value=True) if series is None else pl.col(kind.series).is_in(list(series))


def _with_what_stood(
    connection: Connection, kind: AgedKind, start: datetime, end: datetime, series: Collection[str] | None
) -> pl.DataFrame:
    """The rows, and of submissions what the exchange took last before: under the REST protocol it stands on."""
    rows = aged_rows(connection, kind, start, end, series)
    if kind is not SUBMISSIONS or start == EARLIEST:
        return rows
    return pl.concat([rows, _last_taken(connection, start, _among(kind, series))])


def _last_taken(connection: Connection, start: datetime, among: pl.Expr) -> pl.DataFrame:
    """Of each asset the last forecast before `start` that the exchange took, from the newest file back."""
    taken = (
        among,
        pl.col("slot_start") < pl.lit(start, dtype=INSTANT),
        pl.col("quantity") == Quantity.FORECAST.value,
        pl.col("state").is_in([State.ACCEPTED.value, State.CONFIRMED.value]),
    )
    root, found = folder_of(connection), SUBMISSIONS.schema.to_frame()
    known = parts_of(connection, [SUBMISSIONS], end=start)
    for day in sorted({part.day for part in known}, reverse=True)[:MOST_DAYS_BACK]:
        rows = pl.concat([read_part(root, SUBMISSIONS, part) for part in known if part.day == day])
        newest = rows.unique("id", keep="last", maintain_order=True).filter(*taken)
        last = newest.sort("slot_start", "version").unique("asset_id", keep="last", maintain_order=True)
        found = pl.concat([found, last.join(found, on="asset_id", how="anti")])
    return found


def _shadow(connection: Connection, kind: AgedKind, rows: pl.DataFrame) -> None:
    """Let the table's name mean the table and these rows, for this connection, to the transaction's end."""
    table = table_of(kind.model)
    aged, names = f"aged_{table.name}", ", ".join(rows.columns)
    schema = "main"
    if connection.dialect.name == "postgresql":
        schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
    connection.exec_driver_sql(f"CREATE TEMP TABLE {aged} AS SELECT {names} FROM {table.name} WHERE 1 = 0")  # noqa: S608
    lay_down(connection, aged, rows)
    same = " AND ".join(f"kept.{name} = {aged}.{name}" for name in kind.key)
    connection.exec_driver_sql(
        f'DELETE FROM {aged} WHERE EXISTS (SELECT 1 FROM "{schema}".{table.name} AS kept WHERE {same})'  # noqa: S608
    )
    connection.exec_driver_sql(f"CREATE INDEX {aged}_series ON {aged} ({kind.series}, {kind.time})")
    # What the database computes isn't in the files.
    computed = {column.name: column.computed.sqltext for column in table.columns if column.computed is not None}
    kept = ", ".join([names, *computed])
    added = ", ".join([names, *(f"{how} AS {name}" for name, how in computed.items())])
    both = f'SELECT {kept} FROM "{schema}".{table.name} UNION ALL SELECT {added} FROM {aged}'  # noqa: S608
    connection.exec_driver_sql(f"CREATE TEMP VIEW {table.name} AS {both}")


def _widened(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    first = EARLIEST if start is None or start - EARLIEST < LEAD_IN else start - LEAD_IN
    last = LATEST if end is None or LATEST - end < LEAD_IN else end + LEAD_IN
    return first, last
