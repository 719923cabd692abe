"""Writes a new community file, and never over one that is there."""

from pathlib import Path

from pipelines.errors import ConfigurationError, Issue


def write_starter(path: Path, text: str) -> None:
    """Write a new community file.

    Raises:
        ConfigurationError: there is a file already, or none can be made there.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem, remedy = "it is there already and stays as it is", "Name another file, or move this one away"
    except OSError as error:
        problem, remedy = f"it can't be written ({error.strerror})", "Name a file in a folder this user may write to"
    else:
        return
    raise ConfigurationError([Issue(where=str(path), field="", problem=problem, remedy=remedy)])
