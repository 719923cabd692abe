"""Answers that could not be read, kept for a person to look at: a few, small, readable by their owner alone."""

from datetime import UTC, datetime
from pathlib import Path

MOST_FILES = 20
MOST_CHARACTERS = 65_536
"""Both ours: enough to see what came, and no way to fill a disk."""


def keep_unreadable(folder: Path, source: str, text: str, now: datetime) -> str:
    """Write the beginning of an answer to a file of its own and drop the source's oldest beyond the bound.

    Args:
        folder: made where it isn't there.
        source: its name begins the file's.
        text: without secrets.
        now: aware; ends the file's name.

    Returns:
        What an error's message says of the file; nothing where it could not be written, which must not hide why the
        answer can't be read.
    """
    path = folder / f"{source}-{now.astimezone(UTC):%Y%m%dT%H%M%S%f}.txt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text[:MOST_CHARACTERS], encoding="utf-8")
        for old in sorted(folder.glob(f"{source}-*.txt"))[:-MOST_FILES]:
            old.unlink(missing_ok=True)
    except OSError:
        return ""
    return f"; what came is kept in {path}"
