"""Whether a file that holds secrets is its owner's alone."""

import os
import stat
from pathlib import Path

OTHERS = 0o077
"""Rights of the group and of everybody."""


def not_private(path: Path) -> str:
    """What is wrong with the rights of a file that holds secrets, and what to do; empty where nothing is.

    A link is followed, as containers' secrets are links: both it and what it leads to must belong to whoever runs this,
    or to root. Root, who may read everything, also takes what belongs to the folder's owner.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it can't be looked at.
    """
    link, found = path.lstat(), path.stat()
    if not stat.S_ISREG(found.st_mode):
        return f"it is no file. Put a file there, and run: chmod 600 {path}"
    for owner in {link.st_uid, found.st_uid} - _trusted(path.parent):
        return f"it belongs to another user (uid {owner}). Run: chown {os.geteuid()} {path}"
    if found.st_mode & OTHERS:
        return f"other users can read it (mode {found.st_mode & 0o777:04o}). Run: chmod 600 {path}"
    return ""


def _trusted(folder: Path) -> set[int]:
    own = os.geteuid()
    return {own, 0} | ({folder.stat().st_uid} if own == 0 else set())
