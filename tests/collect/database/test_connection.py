import socketserver
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import URL, make_url, text

from pipelines.collect.database.connection import open_source
from pipelines.errors import AuthenticationError, SourceError, SourceUnavailable


class _Refusing(socketserver.StreamRequestHandler):
    """PostgreSQL's side of a log-in that fails (Frontend/Backend Protocol 3.0), as far as libpq asks for it."""

    passwords: list[bytes]

    def handle(self) -> None:
        while True:
            (length,) = struct.unpack("!i", self.rfile.read(4))
            if struct.unpack("!i", self.rfile.read(length - 4)[:4])[0] == 3 << 16:
                break
            self.wfile.write(b"N")  # neither TLS nor GSS
        self.wfile.write(b"R" + struct.pack("!ii", 8, 3))  # asks for the password in clear
        self.rfile.read(1)
        (length,) = struct.unpack("!i", self.rfile.read(4))
        password = self.rfile.read(length - 4).rstrip(b"\0")
        type(self).passwords.append(password)
        # A chatty proxy that says again what it was told.
        fields = b'SFATAL\0C28P01\0Mpassword authentication failed for user "reader" with ' + password + b"\0\0"
        self.wfile.write(b"E" + struct.pack("!i", 4 + len(fields)) + fields)


@pytest.fixture
def refusing() -> Iterator[tuple[URL, list[bytes]]]:
    """URL of a server that takes no password, and the passwords it saw."""

    class Handler(_Refusing):
        passwords: list[bytes] = []  # noqa: RUF012 - one list a server

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield (
            make_url(f"postgresql+psycopg://reader@127.0.0.1:{server.server_address[1]}/meters").set(password="hush"),
            Handler.passwords,
        )
        server.shutdown()
        thread.join()


def ask(url: URL | str, statement: str = "SELECT 1") -> Any:
    with open_source("main", make_url(url)) as database, database.reading() as connection:
        return connection.execute(text(statement)).fetchall()


def test_a_refused_password_is_named_and_not_told(refusing: tuple[URL, list[bytes]]) -> None:
    url, passwords = refusing
    with pytest.raises(AuthenticationError) as caught:
        ask(url)
    assert passwords == [b"hush"]
    for part in ("source 'main'", "127.0.0.1", "user 'reader'", "SLOTFEED_SOURCE_MAIN_PASSWORD"):
        assert part in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_user_the_server_does_not_know_is_refused(postgres_url: str) -> None:
    with pytest.raises(AuthenticationError, match="user 'nobody'"):
        ask(make_url(postgres_url).set(username="nobody"))


def test_a_database_the_server_does_not_have_is_no_matter_of_waiting(postgres_url: str) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        ask(make_url(postgres_url).set(database="nowhere"))


def test_a_server_that_is_away_may_come_back() -> None:
    with pytest.raises(SourceUnavailable, match=r"source 'main' at 127\.0\.0\.1:1/meters can't be reached"):
        ask("postgresql+psycopg://reader@127.0.0.1:1/meters")


def test_a_table_without_the_right_to_read_it_is_the_owners_matter(postgres_meters: Any) -> None:
    name = f"reader_{make_url(postgres_meters.url).database}"
    postgres_meters.run("CREATE TABLE log (a integer)", f"CREATE ROLE {name} LOGIN")
    try:
        with pytest.raises(SourceError, match="permission denied for table log"):
            ask(make_url(postgres_meters.url).set(username=name), "SELECT * FROM log")
    finally:
        postgres_meters.run(f"DROP ROLE {name}")


def test_a_query_that_takes_too_long_is_stopped(postgres_meters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.collect.database.connection.QUERY_TIMEOUT_S", 0.001)
    with pytest.raises(SourceUnavailable, match="index on meter and time"):
        ask(postgres_meters.url, "SELECT pg_sleep(30)")


def test_nothing_can_be_written(meters: Any) -> None:
    meters.run("CREATE TABLE log (a integer)", "INSERT INTO log VALUES (1)")
    for statement in (
        "INSERT INTO log VALUES (2)",
        "UPDATE log SET a = 2",
        "CREATE TABLE other (a integer)",
        "DROP TABLE log",
    ):
        with pytest.raises(SourceError, match=r"read-?only"):
            ask(meters.url, statement)
    assert ask(meters.url, "SELECT a FROM log") == [(1,)]


def test_a_select_that_writes_is_stopped_too(postgres_meters: Any) -> None:
    postgres_meters.run("CREATE TABLE log (a integer)", "INSERT INTO log VALUES (1)")
    with pytest.raises(SourceError, match="read-only"):
        ask(postgres_meters.url, "WITH gone AS (DELETE FROM log RETURNING a) SELECT a FROM gone")
    assert ask(postgres_meters.url, "SELECT a FROM log") == [(1,)]


def test_a_missing_file_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "gone.sqlite"
    with pytest.raises(SourceUnavailable, match=r"gone\.sqlite"):
        ask(f"sqlite:///{path}")
    assert not path.exists()


def test_a_file_that_vanishes_before_it_is_opened_is_not_made(sqlite_meters: Any, tmp_path: Path) -> None:
    sqlite_meters.run("CREATE TABLE log (a integer)")
    path = tmp_path / "meters.sqlite"
    with open_source("main", make_url(f"sqlite:///{path}")) as database:
        path.unlink()
        with pytest.raises(SourceUnavailable, match="unable to open"), database.reading() as connection:
            connection.execute(text("SELECT a FROM log"))
    assert not path.exists()


def test_a_file_named_by_its_uri_is_only_read_too(sqlite_meters: Any, tmp_path: Path) -> None:
    sqlite_meters.run("CREATE TABLE log (a integer)")
    with pytest.raises(SourceError, match="readonly"):
        ask(f"sqlite:///file:{tmp_path / 'meters.sqlite'}?uri=true", "INSERT INTO log VALUES (2)")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("dear reader, " * 100)
    with pytest.raises(SourceError, match="not a database"):
        ask(f"sqlite:///{path}", "SELECT * FROM log")


def test_a_file_whose_name_is_odd_is_read(tmp_path: Path) -> None:
    path = tmp_path / "50% of?#.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE log (a integer)")
    made.close()
    assert ask(URL.create("sqlite", database=str(path)), "SELECT * FROM log") == []


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(SourceError, match=r"no driver for mysql\+nodriver"):
        ask("mysql+nodriver://u@127.0.0.1/x")
