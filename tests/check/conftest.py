"""A sound community file to spoil, and what the check says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.check import check_community
from pipelines.errors import Severity

File = dict[str, Any]


@pytest.fixture
def sound() -> File:
    """A file without a fault: a flat that draws and feeds in, read from a narrow table."""
    stream = {"source": "meters", "device": "m1", "kind": "register", "unit": "kWh"}
    return {
        "community": {"name": "Sunny Street", "simulation_uuid": "84d221fa-46e1-49e0-823b-26cfb3425a5a"},
        "exchange": {"base_url": "https://exchange.example"},
        "sources": {
            "meters": {
                "type": "meter_database",
                "url": "sqlite:///meters.sqlite",
                "table": "readings",
                "columns": {"meter": "meter_id", "time": "ts", "register": "obis", "value": "v"},
                "time_type": "timestamptz",
            }
        },
        "assets": [
            {
                "name": "Flat",
                "uuid": "5f9c3e13-f75d-42af-92e4-55244faec4b4",
                "type": "load",
                "rated_power_kw": 10,
                "streams": [{**stream, "register": "1-0:1.8.0"}],
            },
            {
                "name": "Roof",
                "uuid": "26090dea-a100-4c9b-9d2c-fcd582be8b2d",
                "type": "pv",
                "rated_power_kw": 5,
                "streams": [{**stream, "register": "1-0:2.8.0"}],
            },
        ],
    }


def _findings(path: Path) -> list[str]:
    _, issues = check_community(path)
    return [("NOTICE " if issue.severity is Severity.NOTICE else "") + str(issue) for issue in issues]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "community.yaml"


@pytest.fixture
def check(path: Path) -> Callable[[File | str], list[str]]:
    """Findings of a file given as a value or as YAML."""

    def run(file: File | str) -> list[str]:
        path.write_text(file if isinstance(file, str) else yaml.safe_dump(file, sort_keys=False), encoding="utf-8")
        return _findings(path)

    return run


@pytest.fixture
def findings() -> Callable[[Path], list[str]]:
    """Findings of the file at a path, as lines; notices begin with NOTICE."""
    return _findings
