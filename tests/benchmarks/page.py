"""docs/performance.md, part by part: each bench writes its own, so that one can be run alone."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

HEAD = """# What it takes

Figures measured by `make bench`, none typed in; nothing in the tests asserts a time. Each part names its day, machine
and load, for these figures move with all three.
"""


@dataclass(frozen=True)
class Sitting:
    """One bench, from its beginning to its part of the page."""

    module: str
    """Its name in `tests.benchmarks`."""

    part: str
    """Name of the part's marks."""

    title: str
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    began: float = field(default_factory=time.perf_counter)

    def tell(self, *figures: str, write: bool) -> None:
        """Print what was measured; put it into the page where that is asked for.

        Args:
            figures: Markdown.
            write: into the page, too.
        """
        command = " ".join([f"python -m tests.benchmarks.{self.module}", *sys.argv[1:]])
        took = f"Measuring this took {time.perf_counter() - self.began:.0f} s (`{command}`)."
        body = "\n\n".join([machine(self.load, datetime.now(UTC).date()), *figures, took])
        Console().print(Markdown(body))
        if write:
            write_part(self.part, self.title, body)


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
