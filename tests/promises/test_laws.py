"""The laws of `docs/explanation/laws.md`: each is referred to by tests under its number."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LAWS = re.findall(
    r"^(\d)\. \*\*", (TESTS.parent / "docs" / "explanation" / "laws.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_there_are_seven() -> None:
    """Their numbers are what tests and comments refer to."""
    assert list("1234567") == LAWS


@pytest.mark.parametrize("number", LAWS)
def test_a_test_says_that_it_tries_to_break_the_law(number: str) -> None:
    """In its name or its docstring; the tests that hold the page to the numbers do not count."""
    sources = (path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    assert any(re.search(rf"\blaws? {number}\b|_law_{number}_", source, re.IGNORECASE) for source in sources)
