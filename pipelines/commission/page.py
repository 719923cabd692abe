"""The certificate as a page: one HTML file that opens offline, and carries what it says as data too.

A page is made of its data alone, so whoever has the file can make it again and see whether a number was changed.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.commission.plot import plot
from pipelines.frames import Quality
from pipelines.report.grades import grade_of, in_words
from pipelines.report.rendering import KIND_WORDS, PAGE, finalized
from pipelines.report.times import local_text, utc_text
from pipelines.report.words import are, counted

OWN = Path(__file__).parent / "page"
DATA = re.compile(r'<script type="application/json" id="certificate">(.*?)</script>', re.DOTALL)


def page_name(name: str, asset_id: str) -> str:
    """The file's name: of the asset's name what any file system takes, and what tells namesakes apart."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{plain or 'asset'}-{hashlib.sha256(asset_id.encode()).hexdigest()[:8]}.html"


def render_page(content: Mapping[str, Any]) -> str:
    """The page as text.

    Args:
        content: JSON's own types: `document`, `status`, `earlier`, `rows`, `unchanged`.

    Raises:
        KeyError, TypeError, ValueError, jinja2.UndefinedError: it isn't what a page is made of.
    """
    document, rows = content["document"], content["rows"]
    zone = ZoneInfo(document["time_zone"])
    length = timedelta(minutes=document["slot_minutes"])
    return _environment(zone).get_template("certificate.html.j2").render(
        of=document,
        status=content["status"],
        earlier=content["earlier"],
        rows=rows,
        unchanged=content["unchanged"],
        plot=plot([(instant(slot), sent, held) for slot, sent, held in rows], length=length, zone=zone),
        content=content,
        css=_css(),
    )  # fmt: skip


def read_content(page: str) -> dict[str, Any] | None:
    """What a page was made of; None: it is no certificate."""
    found = DATA.search(page)
    if found is None:
        return None
    try:
        content = json.loads(found.group(1))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def instant(text: str) -> datetime:
    """A stamp of the document."""
    return datetime.fromisoformat(text)


@cache
def _css() -> Markup:
    files = (PAGE / "page.css", OWN / "certificate.css")
    return Markup("\n".join(file.read_text(encoding="utf-8") for file in files))  # noqa: S704 - our own files


@cache
def _environment(zone: ZoneInfo) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(OWN),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False, "sort_keys": True}
    environment.filters |= {
        "local": lambda stamp: local_text(instant(stamp), zone),
        "utc": lambda stamp: utc_text(instant(stamp)),
        "number": _number,
        "deviation": deviation,
        "kwh": lambda value: f"{value / 1000:,.3f}",
        "kind": lambda kind: KIND_WORDS.get(kind, kind.replace("_", " ")),
        "counted": counted,
        "are": are,
        "thousands": lambda number: f"{number:,}",
        "qualities": _qualities,
        "states": _states,
    }
    return environment


def _number(value: float) -> str:
    """With up to three decimals, at least one."""
    text = f"{value:,.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def deviation(value: float) -> str:
    """Small as it is: never 0 where it isn't."""
    return "0" if value == 0 else f"{value:.2g}"


def _qualities(counts: Mapping[str, int]) -> str:
    return in_words([(grade_of(Quality(name).value, whole=True), number) for name, number in counts.items()])


def _states(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items())) or "none was sent"


def earlier_ones(rows: Sequence[Any], number: str) -> list[dict[str, Any]]:
    """Earlier certificates of an asset as a page lists them; `rows` newest first."""
    numbers = [row.number for row in rows]
    after = rows[numbers.index(number) + 1 :] if number in numbers else []
    return [
        {
            "number": row.number,
            "start": row.document["period"]["start"],
            "end": row.document["period"]["end"],
            "slots": row.slots,
            "held_until": None if row.held_until is None else row.held_until.isoformat(),
            "because": row.ended_because,
        }
        for row in after
    ]
