"""Replaces a folder whole, so that a reader finds the old site or the new one, never a part of one."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import TerminalError


@contextlib.contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """Hand out an empty folder that takes the place of `folder` when the block ends well.

    It stands beside `folder` meanwhile, under a fixed name, so what a killed run left behind is taken over by the
    next one and nothing piles up. Between two renames, for microseconds, there is no folder at all.

    Raises:
        TerminalError: another process builds the same folder, or it can't be written.
    """
    fresh, former = (folder.with_name(f".{folder.name}.{part}") for part in ("new", "old"))
    try:
        with _held(folder):
            for leftover in (fresh, former):
                shutil.rmtree(leftover, ignore_errors=True)
            fresh.mkdir()
            try:
                yield fresh
                if folder.exists():
                    folder.rename(former)
                fresh.rename(folder)
            finally:
                for leftover in (fresh, former):
                    shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise TerminalError(
            f"Data Docs: the folder {folder} can't be written ({error.strerror or error}); "
            "make room or choose another folder"
        ) from error


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with lock.open("wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TerminalError(
                f"Data Docs: another run builds the folder {folder} now; try again when it has ended"
            ) from error
        yield
