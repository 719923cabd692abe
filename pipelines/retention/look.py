"""What has aged out, and whether it is still there as it was written."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import func, select

from pipelines.errors import StoreError
from pipelines.store import Store, table_of
from pipelines.store.aged import read_part
from pipelines.store.aged_tables import KINDS, QUARANTINE, AgedKind, parts_of
from pipelines.whole_files import UNFINISHED


@dataclass(frozen=True, kw_only=True)
class KindStanding:
    """Where the rows of one kind are."""

    kind: str
    in_store: int | None
    """Rows of the table; None where the kind shares another's."""

    files: int
    aged: int
    """Rows in files; one that came back or changed counts in each."""

    first: date | None
    last: date | None
    size_bytes: int
    """Of the files that are there."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What isn't as it should be."""

    file: str
    problem: str


def standing_of(store: Store, root: Path) -> list[KindStanding]:
    """Each kind's rows, in the tables and in files."""
    return [_standing(store, root, kind) for kind in KINDS]


def verify(store: Store, root: Path) -> tuple[int, list[Trouble]]:
    """Read every file that is listed, and look for those that aren't.

    Returns:
        How many are sound, and what is wrong.
    """
    sound, troubles, known = 0, list[Trouble](), set[str]()
    with store.reading() as connection:
        listed = {kind: parts_of(connection, [kind]) for kind in KINDS}
    for kind, parts in listed.items():
        for part in parts:
            known.add(part.file)
            try:
                rows = read_part(root, kind, part).height
            except StoreError as error:
                troubles.append(Trouble(file=part.file, problem=str(error)))
                continue
            if rows == part.rows:
                sound += 1
            else:
                troubles.append(Trouble(file=part.file, problem=f"holds {rows:,} rows of {part.rows:,}"))
    troubles += [
        Trouble(file=file, problem="isn't listed: a run died when it was written; its rows never left, delete it")
        for file in _files(root)
        if file not in known
    ]
    return sound, troubles


def _standing(store: Store, root: Path, kind: AgedKind) -> KindStanding:
    with store.reading() as connection:
        parts = parts_of(connection, [kind])
        rows = connection.execute(select(func.count()).select_from(table_of(kind.model))).scalar_one()
    sizes = [path.stat().st_size for part in parts if (path := root / part.file).is_file()]
    return KindStanding(
        kind=kind.name,
        in_store=None if kind is QUARANTINE else rows,
        files=len(parts),
        aged=sum(part.rows for part in parts),
        first=min((part.day for part in parts), default=None),
        last=max((part.day for part in parts), default=None),
        size_bytes=sum(sizes),
    )


def _files(root: Path) -> Iterator[str]:
    for pattern in ("*/*/*.parquet", f"*/*/*{UNFINISHED}"):
        yield from sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))
