"""Community files by name or pattern."""

import glob
from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import ConfigurationError, Issue


def fitting_files(patterns: Iterable[str]) -> list[Path]:
    """The files that the patterns name, sorted, each once.

    Raises:
        ConfigurationError: a pattern that fits no file.
    """
    found: set[Path] = set()
    for pattern in patterns:
        fitting = [Path(name) for name in glob.glob(pattern)]  # noqa: PTH207 - patterns may be absolute
        if not fitting:
            raise ConfigurationError(
                [
                    Issue(
                        where="fleet",
                        field="communities",
                        problem=f"no file fits '{pattern}'",
                        remedy="Name community files, or a pattern of them",
                    )
                ]
            )
        found.update(fitting)
    return sorted(found)
