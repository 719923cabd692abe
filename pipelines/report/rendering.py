"""The page's frame: template, style, script and Vega's runtime in one file, and nothing that is fetched."""

import base64
import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import altair as alt
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.community import AssetType
from pipelines.errors import TerminalError
from pipelines.plain import plain_lines
from pipelines.report.details import compared_briefly, method_name
from pipelines.report.grades import in_words
from pipelines.report.times import local_text, utc_text
from pipelines.report.words import are, counted

PAGE = Path(__file__).parent / "page"
KIND_WORDS = {AssetType.PV.value: "PV", AssetType.EV_CHARGER.value: "EV charger"}


def render(content: Mapping[str, Any], zone: ZoneInfo) -> str:
    """The page as text.

    Args:
        content: what the template names, but for style and scripts.
        zone: of the community.
    """
    scripts = [Markup(_runtime()), Markup((PAGE / "page.js").read_text(encoding="utf-8"))]  # noqa: S704 - our own files
    return _environment(zone).get_template("page.html.j2").render(
        content,
        css=Markup((PAGE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        scripts=scripts,
        script_hashes=Markup(" ".join(_hash(script) for script in scripts)),  # noqa: S704 - base64
    )  # fmt: skip


def write_whole(text: str, path: Path, *, community: str) -> None:
    """Write a file whole or not at all; missing folders are made.

    Raises:
        TerminalError: it can't be written.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise TerminalError(
            f"Report of {community}: {path} can't be written ({error.strerror}); make room or choose another path"
        ) from error


@cache
def _runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that leaves `vegaEmbed` on the window."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _number(value: float | None) -> str:
    """With up to three decimals, at least one."""
    if value is None:
        return "no value"
    text = f"{value:,.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _percent(share: float | None) -> str:
    """Rounded down to a tenth: what isn't all must not read as 100."""
    return "none" if share is None else f"{math.floor(share * 1000 + 1e-6) / 10:.1f} %"


def finalized(value: object) -> object:
    """Texts from elsewhere don't turn the writing of a page round; `Markup` is the page's own."""
    return plain_lines(value) if type(value) is str else value


def _environment(zone: ZoneInfo) -> Environment:
    def day(instant: datetime | None) -> str:
        return f"{instant.astimezone(zone):%d %b %Y}" if instant else "none"

    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        finalize=finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {
        "local": lambda instant: local_text(instant, zone),
        "day": day,
        "time": lambda instant: f"{instant.astimezone(zone):%H:%M %Z}" if instant else "",
        "utc": utc_text,
        "number": _number,
        "kwh": lambda value: "none" if value is None else f"{value / 1000:,.2f}",
        "percent": _percent,
        "counted": counted,
        "are": are,
        "grades": lambda counts: in_words(counts.items()),
        "compared": compared_briefly,
        "method": method_name,
        "kind": lambda kind: KIND_WORDS.get(kind, kind.replace("_", " ")),
        "thousands": lambda number: f"{number:,}",
    }
    return environment
