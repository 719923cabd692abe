"""The archive's table of contents, `manifest.json`: what each file should hold.

A file is written first and its entry after it, so whatever stands here was whole once. A file without entry is what a
run left that died between the two: its day is done again.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import BinaryIO

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import TerminalError
from pipelines.whole_files import write_whole

NAME = "manifest.json"
FORMAT = 1


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Missing(_Entry):
    """An asset of which slots are missing on a day."""

    asset_id: str
    slots: int
    first: AwareDatetime
    """The first of them."""

    reason: str = ""
    """Why, where the exchange or the check of its values said so."""


class Day(_Entry):
    """One UTC day's file."""

    file: str
    """Path below the archive of the simulation."""

    rows: int
    assets: int
    """Assets with at least one row."""

    slots_expected: int
    """Of all assets together, since each went live."""

    slots_found: int
    """Of the expected ones."""

    missing: tuple[Missing, ...] = ()
    """The first few assets with gaps; none where the day is complete."""

    settled: bool
    """It isn't fetched again: complete, or too old for its gaps to be filled."""

    sha256: str
    read_at: AwareDatetime
    """When the exchange was asked last, by its own clock."""

    slotfeed: str
    """Version that wrote it."""

    @property
    def complete(self) -> bool:
        """No slot is missing."""
        return self.slots_found == self.slots_expected


class Download(_Entry):
    """A results download of the exchange's user interface."""

    name: str
    """The file's, as it was handed in."""

    zip_file: str
    size_bytes: int
    parquet_file: str
    parquet_sha256: str
    rows: int
    assets: int
    first_slot: AwareDatetime | None
    last_slot: AwareDatetime | None
    added_at: AwareDatetime
    slotfeed: str


class Manifest(_Entry):
    """The whole table."""

    format: int = FORMAT
    simulation: str
    days: Mapping[date, Day] = Field(default_factory=dict)
    downloads: Mapping[str, Download] = Field(default_factory=dict)
    """By the SHA-256 of the zip file."""

    def with_day(self, day: date, entry: Day) -> "Manifest":
        """The same with one day more or anew."""
        return self.model_copy(update={"days": dict(sorted({**self.days, day: entry}.items()))})

    def with_download(self, sha256: str, entry: Download) -> "Manifest":
        """The same with one download more."""
        return self.model_copy(update={"downloads": {**self.downloads, sha256: entry}})


def read_manifest(root: Path, *, simulation: str) -> Manifest:
    """The manifest in the archive of a simulation; an empty one where there is none yet.

    Raises:
        TerminalError: it can't be read, or is another simulation's.
    """
    path = root / NAME
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Manifest(simulation=simulation)
    except OSError as error:
        raise TerminalError(f"the archive's {path} can't be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise TerminalError(
            f"the archive's {path} is damaged ({'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}); "
            "put it back from a backup. Without it no day counts as kept, and what is older than 90 days can't be "
            "fetched again"
        ) from error
    if manifest.simulation != simulation or manifest.format != FORMAT:
        raise TerminalError(
            f"the archive's {path} is of simulation {manifest.simulation} in format {manifest.format}, "
            f"not of {simulation} in format {FORMAT}"
        )
    return manifest


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Replace the manifest, whole.

    Raises:
        TerminalError: the folder can't be written.
    """
    content = manifest.model_dump_json(indent=1).encode()

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_whole(root / NAME, write)


def day_file(day: date) -> str:
    """Where a day's file is, below the archive of the simulation."""
    return f"{day:%Y}/{day:%Y-%m-%d}.parquet"
