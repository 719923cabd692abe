"""An empty database of each kind, for a benchmark."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

KINDS = ("sqlite", "postgresql")


@contextmanager
def databases() -> Iterator[Callable[[str], str]]:
    """Makes databases: kind -> SQLAlchemy URL of a new, empty one.

    PostgreSQL is a server of this run's own, with the settings that it comes with.
    """
    folder = Path(tempfile.mkdtemp(prefix="slotfeed-bench-"))
    (folder / "server").mkdir()
    made = 0
    server: list[_Server] = []

    def make(kind: str) -> str:
        nonlocal made
        made += 1
        if kind == "sqlite":
            return f"sqlite:///{folder / f'{made}.sqlite'}"
        if not server:
            server.append(_Server(folder / "server"))
        return server[0].database(f"bench_{made}")

    try:
        yield make
    finally:
        for one in server:
            one.stop()
        shutil.rmtree(folder, ignore_errors=True)


class _Server:
    def __init__(self, folder: Path) -> None:
        import pgserver  # noqa: PLC0415 - carries the server's binaries; absent on newer Pythons

        self._server = pgserver.get_server(folder, cleanup_mode="stop")

    def database(self, name: str) -> str:
        import psycopg  # noqa: PLC0415

        url: str = self._server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # ty: ignore - a name made here
        return url.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")

    def stop(self) -> None:
        self._server.cleanup()
