"""The deliberate bugs fit the code as it is now; `mutations` tries them."""

import pytest

from tests.reliability.mutants import MUTANTS, Mutant
from tests.reliability.mutations import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_lines_stand_once_and_its_tests_exist(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert all((ROOT / test.partition("::")[0]).is_file() for test in mutant.tests)
