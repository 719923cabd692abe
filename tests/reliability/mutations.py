"""Deliberate bugs of delivery, each in a copy of the checkout, and the test that turns red for it.

    python -m tests.reliability.mutations              all of them; writes the table of docs/reliability.md
    python -m tests.reliability.mutations lease older  those whose names hold one of these words; writes nothing

A copy without any bug must be green. A bug that no test notices ends the program with status 1.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.mutants import MUTANTS, Mutant
from tests.reliability.tables import WRITING, hold_table

ROOT = Path(__file__).parents[2]
COPIED = ("flows", "pipelines", "expectations", "tests", "docs", "pyproject.toml", "prefect.yaml", "README.md")
RED = re.compile(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", re.MULTILINE)
UNNOTICED = "**none**"
AT_ONCE = 3


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout."""

    folder: Path

    def make(self) -> None:
        """Copy what the tests need."""
        for name in COPIED:
            origin = ROOT / name
            if origin.is_dir():
                shutil.copytree(origin, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, self.folder / name)

    def put(self, mutant: Mutant) -> None:
        """Put the bug in.

        Raises:
            RuntimeError: its lines don't stand once in the file.
        """
        file = self.folder / mutant.file
        right = file.read_text(encoding="utf-8")
        if right.count(mutant.old) != 1:
            raise RuntimeError(f"'{mutant.name}': its lines stand {right.count(mutant.old)} times in {mutant.file}")
        file.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")

    def first_red(self, tests: Sequence[str]) -> tuple[str | None, str]:
        """The first test that fails, None where all are green; and what pytest said.

        Raises:
            RuntimeError: the tests didn't run.
        """
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"]
        command += ["-m", "matrix or not matrix", *tests]
        environment = {name: value for name, value in os.environ.items() if name != WRITING}
        environment["PYTHONPATH"] = str(self.folder)
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None, done.stdout
        found = RED.search(done.stdout)
        if done.returncode != 1 or found is None:
            raise RuntimeError(f"pytest ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return found[1], done.stdout


def red_with(mutant: Mutant | None, tests: Sequence[str]) -> tuple[str | None, str]:
    """As `Copy.first_red`, in a new copy with this bug."""
    with tempfile.TemporaryDirectory(prefix="slotfeed-mutant-") as folder:
        copy = Copy(Path(folder))
        copy.make()
        if mutant is not None:
            copy.put(mutant)
        red, said = copy.first_red(tests)
    sys.stdout.write(f"{'no bug' if mutant is None else mutant.name}: {red or 'all green'}\n")
    sys.stdout.flush()
    return red, said


def main(words: Sequence[str]) -> int:
    """Try the mutants, or some of them; the exit status."""
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    of_all = sorted({test for one in chosen for test in one.tests})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        without = pool.submit(red_with, None, of_all)
        found = list(pool.map(lambda one: red_with(one, one.tests)[0], chosen))
        red, said = without.result()
    if red is not None:
        sys.stdout.write(f"red without any bug: {red}\n{said}")
        return 1
    if not words:
        os.environ[WRITING] = "1"
        rows = [
            (mutant.name, f"`{mutant.file}`", UNNOTICED if red is None else f"`{red}`")
            for mutant, red in zip(chosen, found, strict=True)
        ]
        hold_table("mutants of delivery", ("bug", "in", "turns red"), rows)
    return int(None in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
