"""docs/performance.md, part by part: each bench writes its own, so that one can be run alone."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

HEAD = """# What it takes

Figures measured by `make bench`, none typed in; nothing in the tests asserts a time. Each part names its day, machine
and load, for these figures move with all three.
"""


def machine(load: float, day: date) -> str:
    """Where and when, in words.

    Args:
        load: of the machine before the bench began, as `os.getloadavg` tells it.
        day: on which it was measured.
    """
    idle = (
        "idle before"
        if load < 0.5
        else f"shared with others: load {load:.1f} before it began, so times are upper bounds"
    )
    return f"{day:%Y-%m-%d}, {os.cpu_count()} cores, {idle}."


def write_part(name: str, title: str, body: str, *, page: Path = PAGE) -> None:
    """Put a part into the page: in the place of its last one, or at the end.

    Args:
        name: of its marks.
        title: its heading.
        body: Markdown.
        page: made where it isn't there yet.
    """
    begin, end = f"<!-- part: {name} -->", f"<!-- end of part: {name} -->"
    text = page.read_text(encoding="utf-8") if page.exists() else HEAD
    part = f"{begin}\n\n## {title}\n\n{body.strip()}\n\n{end}"
    before, found, rest = text.partition(begin)
    if found:
        _, _, after = rest.partition(end)
        page.write_text(f"{before}{part}{after}", encoding="utf-8")
    else:
        page.write_text(f"{text.rstrip()}\n\n{part}\n", encoding="utf-8")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; what a row has beyond its first cell stands to the right."""
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [heads, marks, *rows])
