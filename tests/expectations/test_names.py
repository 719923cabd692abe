import subprocess
import sys

from expectations.limits import UNIT_OF_KIND, USABLE_QUALITIES
from expectations.names import CHECKS, Check
from pipelines.community import ENERGY_WH, POWER_W
from pipelines.frames import Kind, Quality


def test_every_check_has_a_meaning_that_people_can_read() -> None:
    assert set(CHECKS) == set(Check)
    for meaning in CHECKS.values():
        assert meaning.title
        assert meaning.source
        assert meaning.explanation.endswith(".")


def test_short_names_fit_into_a_comma_separated_list() -> None:
    assert all(name.isidentifier() for name in Check)


def test_sets_are_those_of_the_frames() -> None:
    assert set(UNIT_OF_KIND) == {kind.value for kind in Kind}
    assert set(Quality) - USABLE_QUALITIES == {Quality.MISSING, Quality.UNUSABLE}
    assert all(ENERGY_WH.get(unit) == 1.0 or POWER_W.get(unit) == 1.0 for unit in UNIT_OF_KIND.values())


def test_names_and_limits_come_without_great_expectations() -> None:
    program = (
        "import sys, expectations.names, expectations.limits, pipelines.validate.run, pipelines.validate.quarantine"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", f"{program}; print('great_expectations' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == "False"
