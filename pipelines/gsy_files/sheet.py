"""Sheets of an Excel file as rows with names, and their faults with sheet and row."""

import math
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from pipelines.errors import ConfigurationError, Issue


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row that isn't empty."""

    number: int
    """As Excel counts, from 1."""

    cells: tuple[object, ...]

    def at(self, index: int) -> object:
        """The cell's value; None where it is empty or the row ends before it."""
        value = self.cells[index] if index < len(self.cells) else None
        return None if isinstance(value, str) and not value.strip() else value

    def text(self, index: int) -> str | None:
        """The same as text without blanks around it; a whole number has no `.0`."""
        value = self.at(index)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return None if value is None else str(value).strip()


@dataclass(kw_only=True)
class Faults:
    """Collects the faults of one file."""

    where: str
    issues: list[Issue] = field(default_factory=list)

    def add(self, sheet: str, row: int | None, problem: str, remedy: str) -> None:
        """Note a fault in `sheet`, at a row or in the whole."""
        place = f"sheet '{sheet}'" if row is None else f"sheet '{sheet}', row {row}"
        self.issues.append(Issue(where=self.where, field=place, problem=problem, remedy=remedy))

    def raise_any(self) -> None:
        """Raise what was noted, if anything was."""
        if self.issues:
            raise ConfigurationError(self.issues)


def read_sheets(path: Path, *, where: str, remedy: str) -> dict[str, list[Row]]:
    """Every sheet's rows, by the sheet's `plain` name; formulas as the values Excel last computed.

    Raises:
        ConfigurationError: the file is no Excel workbook that can be read.
    """
    try:
        with warnings.catch_warnings():
            # Drop-down lists and the like, of which openpyxl says that it passes over them.
            warnings.simplefilter("ignore", UserWarning)
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                return {plain(sheet.title): list(_rows(sheet)) for sheet in book.worksheets}
            finally:
                book.close()
    except OSError as error:
        problem = f"it can't be read ({error.strerror or error})"
        raise ConfigurationError([Issue(where=where, field="", problem=problem, remedy=remedy)]) from error
    except (InvalidFileException, zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError) as error:
        problem = "it is no Excel workbook (.xlsx)"
        raise ConfigurationError([Issue(where=where, field="", problem=problem, remedy=remedy)]) from error


def _rows(sheet: object) -> Iterator[Row]:
    # Some programs write a wrong extent; without it every cell that is there is read.
    sheet.reset_dimensions()  # type: ignore[attr-defined]
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):  # type: ignore[attr-defined]
        row = Row(number=number, cells=tuple(cells))
        if any(row.at(index) is not None for index in range(len(cells))):
            yield row


def plain(name: object) -> str:
    """A header or sheet name to compare by: small letters, single blanks, no underscores."""
    return re.sub(r"[\s_]+", " ", str(name)).strip().lower()


def columns(
    sheet: str, rows: list[Row], wanted: Mapping[str, tuple[str, ...]], optional: tuple[str, ...], faults: Faults
) -> dict[str, int] | None:
    """Which column holds what, from the first row; notes the columns that are missing or there twice.

    Args:
        sheet: its name, for messages.
        rows: of the sheet.
        wanted: key -> the headers it may stand under, in `plain` form.
        optional: keys that needn't be there.
        faults: takes what is wrong.

    Returns:
        Key -> index; None where the sheet can't be read on.
    """
    if not rows:
        faults.add(
            sheet, None, "it is empty", f"Give it the columns {', '.join(names[0] for names in wanted.values())}"
        )
        return None
    header = [plain(cell) if cell is not None else "" for cell in rows[0].cells]
    found: dict[str, int] = {}
    for key, names in wanted.items():
        places = [index for index, name in enumerate(header) if name in names]
        if len(places) > 1:
            faults.add(sheet, rows[0].number, f"the column '{names[0]}' is there twice", "Keep one of them")
        elif places:
            found[key] = places[0]
        elif key not in optional:
            faults.add(sheet, rows[0].number, f"the column '{names[0]}' is missing", "Add it, as in GSy's template")
    return found if all(key in found or key in optional for key in wanted) else None


def number(
    sheet: str, row: Row, index: int | None, name: str, faults: Faults, *, least: float = -math.inf
) -> float | None:
    """The cell's number; None where it is empty or, noted as a fault, no number or too small."""
    value = None if index is None else row.at(index)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        faults.add(sheet, row.number, f"{name} is no number: {str(value)[:40]!r}", "Write a number, without unit")
        return None
    if value < least:
        faults.add(sheet, row.number, f"{name} is {value:g}", f"Write {least:g} or more")
        return None
    return float(value)
