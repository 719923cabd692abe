"""Whether a certificate's file says what slotfeed wrote, what the store has of it, and whether it still holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import TemplateError

from pipelines.commission.certificate import FORMAT, digest_of
from pipelines.commission.keeping import certificate_by_number, status_of
from pipelines.commission.page import instant, read_content, render_page
from pipelines.commission.publish import compared_rows
from pipelines.errors import TerminalError
from pipelines.report.times import local_text
from pipelines.report.words import counted
from pipelines.store import Store
from pipelines.store.aged import looking_back

BIGGEST = 20_000_000
"""Bytes; a certificate of two weeks has a tenth of a million."""

NOT_MADE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, TemplateError)
"""What making a page of something else ends in."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """One thing that was looked at."""

    what: str
    good: bool
    told: str


def verify(store: Store, path: Path) -> list[Verified]:
    """Look at a certificate's file: each thing that was looked at, in order, up to one that makes the rest idle.

    Args:
        store: the community's.
        path: of the page.

    Raises:
        TerminalError: it can't be read, or isn't a certificate.
    """
    page = _read(path)
    content = read_content(page)
    if content is None:
        raise TerminalError(f"{path} is no certificate of slotfeed: it carries no data of one")
    document, rows = content.get("document"), content.get("rows")
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise TerminalError(f"{path} isn't a certificate of this release's format; use the slotfeed that wrote it")
    found = [_as_written(page, content), _rows_hashed(document, rows)]
    with store.reading() as connection:
        kept = certificate_by_number(connection, str(document.get("number")))
        if kept is None:
            told = f"this database never issued certificate {document.get('number')}; look with the community it is of"
            return [*found, Verified(what="issued here", good=False, told=told)]
        same = kept.document == document
        told = "the database has it, word for word" if same else _other(kept.document, document)
        found.append(Verified(what="issued here", good=same, told=told))
    with looking_back(store, start=kept.period_start, end=kept.period_end) as connection:
        now = compared_rows(connection, kept.asset_id, kept.period_start, kept.period_end)
    hashed = digest_of(kept.asset_id, now) == kept.digest
    told = f"{counted(len(now), 'slot')} of the period have the same hash" if hashed else _changed(rows, now)
    found.append(Verified(what="rows unchanged", good=hashed, told=told))
    return [*found, _holds(status_of(kept), str(kept.document["time_zone"]))]


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > BIGGEST:
            raise TerminalError(f"{path} is no certificate of slotfeed: it is too big")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
        raise TerminalError(f"{path} can't be read ({reason})") from error


def _as_written(page: str, content: Mapping[str, Any]) -> Verified:
    what = "file as written"
    try:
        again = render_page(content)
    except NOT_MADE:
        return Verified(what=what, good=False, told="its data isn't what a page is made of: it was changed")
    if again == page:
        return Verified(what=what, good=True, told="made again from its data, it is the same to the byte")
    told = "made again from its data, it differs: it was changed, or another release of slotfeed wrote it"
    return Verified(what=what, good=False, told=told)


def _rows_hashed(document: Mapping[str, Any], rows: Any) -> Verified:  # noqa: ANN401 - whatever stands in the file
    what = "rows as hashed"
    try:
        same = digest_of(document["asset"]["uuid"], rows) == document["digest"]
    except NOT_MADE:
        same = False
    told = "its rows have the hash that it names" if same else "its rows don't have the hash that it names"
    return Verified(what=what, good=same, told=told)


def _other(kept: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    fields = [key for key in {**kept, **document} if kept.get(key) != document.get(key)]
    return f"the database has other values: {', '.join(sorted(fields))}"


def _changed(before: Any, now: list[list[Any]]) -> str:  # noqa: ANN401 - whatever stands in the file
    """How many slots aren't as they were, and the first of them."""
    try:
        old = {slot: (sent, held) for slot, sent, held in before}
    except NOT_MADE:
        old = {}
    new = {slot: (sent, held) for slot, sent, held in now}
    differing = sorted(slot for slot in old.keys() | new.keys() if old.get(slot) != new.get(slot))
    first = f", the first is {differing[0]}" if differing else ""
    return f"{counted(len(differing), 'slot')} of the period differ from what was hashed{first}: corrected since"


def _holds(status: Mapping[str, Any], zone: str) -> Verified:
    def told(stamp: str) -> str:
        return local_text(instant(stamp), ZoneInfo(zone))

    if status["holds"]:
        words = f"it held through {told(status['checked_through'])}, as of {told(status['checked_at'])}"
    elif status["replaced"]:
        words = f"a newer one took its place {told(status['ended_at'])}"
    else:
        words = f"it held until {told(status['held_until'])}: {status['because']}"
    return Verified(what="still holds", good=bool(status["holds"]), told=words)
