"""Tables of docs/reliability.md that stand there as the tests found them.

Each lies between two marks, `<!-- table: NAME -->` and `<!-- end of table: NAME -->`. With SLOTFEED_WRITE_TABLES=1 a
run writes what it found; without, it holds the page against it. So what a table says must not depend on the moment:
words and states, no times.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
WRITING = "SLOTFEED_WRITE_TABLES"

Row = Sequence[object]


def hold_table(name: str, heads: Sequence[str], rows: Sequence[Row], *, page: Path = PAGE) -> None:
    """Write a table into the page, or assert that it stands there.

    Args:
        name: of the table's marks; they must stand in the page.
        heads: of the columns.
        rows: in the order in which they are to be read; each cell as it is to be shown.
        page: holds the marks.
    """
    table = _lines(heads, rows)
    begin, end = f"<!-- table: {name} -->", f"<!-- end of table: {name} -->"
    with _alone(page):
        lines = page.read_text(encoding="utf-8").split("\n")
        assert begin in lines, f"{page.name} has no place for the table: write the marks {begin} and {end} into it"
        first, last = lines.index(begin), lines.index(end)
        if os.environ.get(WRITING) == "1":
            text = "\n".join([*lines[: first + 1], "", *table, "", *lines[last:]])
            page.write_text(text, encoding="utf-8")
            return
    stands = [line for line in lines[first + 1 : last] if line]
    wrong = [f"- {line}" for line in stands if line not in table] + [
        f"+ {line}" for line in table if line not in stands
    ]
    told = "\n".join(wrong)
    assert stands == table, f"{page.name}, table {name}: it says (-) and was found (+):\n{told}\nWrite it: {WRITING}=1"


def _lines(heads: Sequence[str], rows: Sequence[Row]) -> list[str]:
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    wrong = [row for row in cells if len(row) != len(heads)]
    assert not wrong, f"{len(heads)} columns, and not as many cells: {wrong[0]}"
    return ["| " + " | ".join(row) + " |" for row in [list(heads), ["---"] * len(heads), *cells]]


@contextmanager
def _alone(page: Path) -> Iterator[None]:
    """Several test processes write into one page."""
    with page.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(held, fcntl.LOCK_UN)
