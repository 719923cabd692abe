"""Invariant 8: no secret stands in what the program writes."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy import MetaData, select

from tests.reliability.violations import Invariant, Violation
from tests.reliability.world import World

TOKEN = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")
"""A JSON web token, such as the exchange hands out: whoever reads it may post."""


def no_secret(world: World) -> list[Violation]:
    """(8) No secret stands in a log, report, artifact, table or exception, in whatever spelling."""
    spellings = {name: _spellings(secret) for name, secret in world.secrets.items()}
    found = []
    for path in _files(world):
        content = path.read_bytes()
        found += [_told(f"file {path}, line {_line(content, at)}", name) for name, at in _hits(content, spellings)]
    for who, text in world.texts.items():
        content = text.encode()
        found += [_told(f"{who}, line {_line(content, at)}", name) for name, at in _hits(content, spellings)]
    journal = json.dumps(list(world.journal), ensure_ascii=False).encode()
    found += [_told("the exchange's journal", name) for name, _ in _hits(journal, spellings)]
    return [*found, *_in_tables(world, spellings)]


def _line(content: bytes, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


def _in_tables(world: World, spellings: Mapping[str, set[bytes]]) -> Iterator[Violation]:
    tables = MetaData()
    tables.reflect(world.store.engine)
    with world.store.reading() as connection:
        for table in tables.sorted_tables:
            for number, row in enumerate(connection.execute(select(table)).mappings(), start=1):
                for column, value in row.items():
                    if not isinstance(value, str | bytes | dict | list):
                        continue
                    content = value if isinstance(value, bytes) else _text(value).encode()
                    for name, _ in _hits(content, spellings):
                        yield _told(f"table {table.name}, column {column}, row {number}", name)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _hits(content: bytes, spellings: Mapping[str, set[bytes]]) -> Iterator[tuple[str, int]]:
    for name, ways in spellings.items():
        at = min((at for way in ways if (at := content.find(way)) >= 0), default=-1)
        if at >= 0:
            yield name, at
    if token := TOKEN.search(content):
        yield "a token", token.start()


def _spellings(secret: str) -> set[bytes]:
    raw = secret.encode()
    ways = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode(), quote(secret).encode()}
    ways |= {json.dumps(secret, ensure_ascii=only).encode()[1:-1] for only in (True, False)}
    ways |= {raw.hex().encode(), raw.hex().upper().encode(), repr(secret)[1:-1].encode()}
    # A JSON text that stands inside another, as in a column of JSON or in Prefect's tables.
    ways.add(json.dumps(json.dumps(secret)).encode()[3:-3])
    return ways | {base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")}


def _files(world: World) -> Iterator[Path]:
    for place in world.places:
        yield from sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]


def _told(where: str, name: str) -> Violation:
    return Violation(invariant=Invariant.NO_SECRET, where=where, seen=f"{name} stands there in clear")
