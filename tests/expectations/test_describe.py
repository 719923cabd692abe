from pathlib import Path

from expectations.describe import LEFT_OUT, RULES, page
from expectations.names import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def test_page_of_checks_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m expectations.describe docs/checks.md"


def test_page_tells_of_every_check_and_rule() -> None:
    told = page()
    assert [check for check, meaning in CHECKS.items() if told.count(f"`{check}`") < 2 - (meaning.vee == 0)] == []
    assert {meaning.vee for meaning in CHECKS.values()} - {0} == set(RULES) - set(LEFT_OUT)
