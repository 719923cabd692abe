"""Files that are kept: whole or not there, whatever happens, and changed by one process at a time."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import TerminalError

UNFINISHED = ".part"
"""Suffix of a file that is being written; one that is found was left by a run that died."""

CHUNK = 1 << 20


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> str:
    """Write beside `path`, flush to the disk and rename; returns the SHA-256 of what was written, in hex.

    Raises:
        TerminalError: the folder can't be written.
    """
    beside = path.with_name(path.name + UNFINISHED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        digest = sha256_of(beside)
        beside.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise TerminalError(
            f"the file {path} can't be written ({error.strerror or error}); "
            "see to the folder's rights and to free space"
        ) from error
    return digest


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the folder for this process.

    Raises:
        TerminalError: another process holds it, or it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("wb")
    except OSError as error:
        raise TerminalError(f"the folder {folder} can't be used: {error.strerror or error}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TerminalError(f"another run works in the folder {folder}; try again when it has ended") from error
        yield


def slotfeed_version() -> str:
    """The program's, for the record."""
    return version("slotfeed")


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
