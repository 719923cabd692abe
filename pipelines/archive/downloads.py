"""The results download of the exchange's user interface, kept beside the days: the zip as it came, and its series.

Such a zip has a folder `aggregated_results` of JSON files, among them `asset_statistics.json`, and a folder
`bids_offers_trades` of CSV files (gsy-e wiki, results-download.md). Nothing is unpacked to the disk: what is read is
read in memory and bounded, so neither a name with `..` nor a bomb does harm. Such a zip is refused all the same.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipelines.archive.manifest import Download, read_manifest, write_manifest
from pipelines.archive.statistics import STATISTICS, statistics_frame
from pipelines.errors import TerminalError
from pipelines.whole_files import CHUNK, slotfeed_version, sole_writer, write_whole

__all__ = ["STATISTICS", "add_download"]

FOLDER = "downloads"
RESULTS_FOLDER = "aggregated_results"
STATISTICS_FILE = "asset_statistics.json"

MOST_ENTRIES = 20_000
MOST_BYTES = 2 << 30
"""Unpacked, all together; ours: a year of a thousand assets has some hundred MB."""

MOST_JSON_BYTES = 512 << 20
"""One JSON file, unpacked; ours."""

ENCRYPTED = 0x1


def add_download(
    path: Path, *, root: Path, simulation: str, known: Mapping[str, str], now: datetime
) -> tuple[Download, bool]:
    """Keep a download: the zip itself, and each asset's profile and trades as Parquet.

    Args:
        path: the zip file.
        root: `archive_folder`.
        simulation: its uuid.
        known: the community's assets, uuid -> name.
        now: for the record.

    Returns:
        Its entry, and whether it is new; the same file once more changes nothing.

    Raises:
        TerminalError: no results download, a damaged or dangerous file, or the archive can't be used.
    """
    sha256 = _fingerprint(path)
    document = _statistics(path)
    frame = statistics_frame(document, known, where=f"{path.name}, {STATISTICS_FILE}")
    with sole_writer(root):
        manifest = read_manifest(root, simulation=simulation)
        if (entry := manifest.downloads.get(sha256)) is not None and _all_there(root, entry):
            return entry, False
        name = f"{FOLDER}/{sha256[:16]}"
        with path.open("rb") as source:
            kept = write_whole(root / f"{name}.zip", partial(_copy, source))
        if kept != sha256:
            raise TerminalError(f"{path} changed while it was read; add it again")
        entry = Download(
            name=path.name,
            zip_file=f"{name}.zip",
            size_bytes=path.stat().st_size,
            parquet_file=f"{name}.parquet",
            parquet_sha256=write_whole(root / f"{name}.parquet", partial(frame.write_parquet, compression="zstd")),
            rows=frame.height,
            assets=frame["area_path"].n_unique(),
            first_slot=frame["slot_start"].min(),
            last_slot=frame["slot_start"].max(),
            added_at=now,
            slotfeed=slotfeed_version(),
        )
        write_manifest(root, manifest.with_download(sha256, entry))
    return entry, True


def _all_there(root: Path, entry: Download) -> bool:
    return all((root / file).exists() for file in (entry.zip_file, entry.parquet_file))


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    shutil.copyfileobj(source, target, CHUNK)


def _fingerprint(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise TerminalError(f"{path} can't be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _statistics(path: Path) -> object:
    """The document of the one `asset_statistics.json`; every other JSON file of the download is tried too."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _refuse_dangerous(path, entries)
            found = [entry for entry in entries if RESULTS_FOLDER in _parts(entry)[:-1] and _is_json(entry)]
            if not found:
                raise TerminalError(
                    f"{path} has no folder {RESULTS_FOLDER} with JSON files: it is no results download of the exchange"
                )
            documents = {_parts(entry)[-1]: _document(archive, entry, path) for entry in found}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise TerminalError(f"{path} is no sound zip file ({error}); download it again") from error
    if STATISTICS_FILE not in documents:
        raise TerminalError(f"{path} has no {RESULTS_FOLDER}/{STATISTICS_FILE}: it is no whole results download")
    return documents[STATISTICS_FILE]


def _refuse_dangerous(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or size > MOST_BYTES:
        raise TerminalError(
            f"{path} would unpack to {len(entries):,} files and {size / (1 << 20):,.0f} MB, far more than results "
            "have: refused"
        )
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in (name.parts or ("",))[0]:
            raise TerminalError(f"{path} holds a file that points out of it ({entry.filename[:80]!r}): refused")
        if entry.flag_bits & ENCRYPTED:
            raise TerminalError(f"{path} is encrypted; add it without a password")
        if _is_json(entry) and entry.file_size > MOST_JSON_BYTES:
            raise TerminalError(f"{path}: {entry.filename[:80]!r} has {entry.file_size >> 20:,} MB: refused")


def _document(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> object:
    try:
        document = json.loads(archive.read(entry))
    except (ValueError, RecursionError) as error:
        raise TerminalError(
            f"{path}: {entry.filename[:80]!r} is no readable JSON ({str(error)[:80]}); download it again"
        ) from error
    # Only one of them is used; the others are read to know that the download is whole.
    return document if _parts(entry)[-1] == STATISTICS_FILE else None


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """The name's parts in one spelling: the exchange's own papers write `Asset statistics.json` as well."""
    return tuple(part.lower().replace(" ", "_") for part in PurePosixPath(entry.filename.replace("\\", "/")).parts)


def _is_json(entry: zipfile.ZipInfo) -> bool:
    return _parts(entry)[-1].endswith(".json")
