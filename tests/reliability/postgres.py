"""A PostgreSQL server of a test's own, which may be restarted under its clients."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

START_S = 60


class NoServer(Exception):
    """The server didn't do as it was told."""


@dataclass(frozen=True)
class Postgres:
    """A server that listens on a socket in its folder."""

    binaries: Path
    data: Path
    sockets: Path
    prefix: Sequence[str]
    """Runs a command as the server's user: PostgreSQL refuses to run as root."""

    def url(self, database: str) -> str:
        """SQLAlchemy URL of a database, made anew."""
        with psycopg.connect(f"postgresql://postgres@/postgres?host={self.sockets}", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')  # ty: ignore - a test's own name
        return f"postgresql+psycopg://postgres@/{database}?host={self.sockets}"

    def control(self, *command: str) -> None:
        """`start` or `stop` it."""
        options = f"-k {self.sockets} -c listen_addresses='' -c fsync=off"
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.sockets / "log"), "-o", options, *command)

    def crash(self) -> None:
        """Stop it as a crash does: no client is waited for."""
        self.control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again, as soon as the last of its clients' processes has let go of its memory."""
        ends = time.monotonic() + START_S
        while True:
            try:
                self.control("start")
            except NoServer:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.2)
            else:
                return

    def run(self, name: str, *arguments: str) -> None:
        """One of the server's programs."""
        said = self.sockets / "said"
        # A file, not a pipe: a server that has been started keeps it open.
        with said.open("w") as output:
            done = subprocess.run(
                [*self.prefix, str(self.binaries / name), *arguments],
                check=False,
                stdout=output,
                stderr=output,
                cwd=self.sockets,
            )
        if done.returncode:
            raise NoServer(f"{name} {arguments[-1]}: {said.read_text()}")


@contextlib.contextmanager
def own_postgres() -> Iterator[Postgres]:
    """Start a server with its data in a folder of its own; both end with the block.

    Not in pytest's folder, which belongs to the tests' user alone: the server may be another.
    """
    folder = Path(tempfile.mkdtemp(prefix="slotfeed-pg-"))
    try:
        yield from _served(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _served(folder: Path) -> Iterator[Postgres]:
    try:
        import pgserver  # noqa: PLC0415 - carries the server's binaries; absent on newer Pythons
        from pgserver.utils import ensure_prefix_permissions, ensure_user_exists  # noqa: PLC0415
    except ImportError:
        binaries, user = max(Path("/usr/lib/postgresql").glob("*/bin")), "postgres"
    else:
        binaries, user = Path(pgserver.__file__).parent / "pginstall" / "bin", "pgserver"
        if os.geteuid() == 0:
            ensure_user_exists(user)
            ensure_prefix_permissions(folder)
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix = ["runuser", "-u", user, "--"]
        shutil.chown(folder, user, user)
        folder.chmod(0o755)
    server = Postgres(binaries, folder / "data", folder, prefix)
    server.run("initdb", "-D", str(server.data), "-U", "postgres", "-A", "trust", "--no-sync")
    server.start()
    try:
        yield server
    finally:
        server.crash()
