"""A place to run in, and the command line as a user types it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows import cli, screens
from tests.flows.places import Place, living_in, open_place


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The demo's community in the test's own folder, and its exchange; secrets in the environment."""
    with open_place(tmp_path, tmp_path_factory.mktemp("exchange")) as opened, living_in(opened):
        yield opened


@pytest.fixture
def slotfeed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the command line in this process: exit status, and all it printed (stdout, then stderr)."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        for console in (screens.out, screens.err):
            monkeypatch.setattr(console, "width", 250)
        monkeypatch.setattr(sys, "argv", ["slotfeed", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1 if end.code else 0
        else:
            status = 0
        told = capsys.readouterr()
        return status, told.out + told.err

    return run
