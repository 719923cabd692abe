"""JSON files as objects, or a fault that says what to do."""

import json
from pathlib import Path

from pipelines.errors import ConfigurationError, Issue


def read_json(path: Path, *, where: str, remedy: str) -> object:
    """What the file holds.

    Raises:
        ConfigurationError: it can't be read, or isn't JSON.
    """
    try:
        # Files saved by Windows tools may begin with a byte order mark.
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        problem = "it is nested too deeply to be read"
        raise ConfigurationError([Issue(where=where, field="", problem=problem, remedy=remedy)]) from error
    except OSError as error:
        problem = f"it can't be read ({error.strerror or error})"
        raise ConfigurationError([Issue(where=where, field="", problem=problem, remedy=remedy)]) from error
    except ValueError as error:
        problem = f"it can't be read as JSON ({error})"
        raise ConfigurationError([Issue(where=where, field="", problem=problem, remedy=remedy)]) from error
