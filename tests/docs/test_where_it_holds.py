"""`docs/reference/where-it-holds.md`: each cell of its tables names tests that are there, or says that nobody tried."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "where-it-holds.md").read_text(encoding="utf-8")
NOTES = {
    name: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    for name, text in re.findall(r"^\[\^(\S+)\]: (.+)$", PAGE, flags=re.MULTILINE)
}


def test_each_cell_names_a_test_or_says_that_nobody_tried() -> None:
    """And no footnote is left over."""
    cited = set[str]()
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE):
        head, _, *rows = [line.strip("|").split("|") for line in table.splitlines()]
        for what, *cells in rows:
            assert len(cells) == len(head) - 1, what
            for column, cell in zip(head[1:], cells, strict=True):
                found = re.findall(r"\[\^(\S+?)\]", cell)
                assert found or "not tried" in cell, f"{what}: {column}"
                cited.update(found)
    assert cited == set(NOTES)


def test_the_tests_are_there() -> None:
    """Under these names."""
    for name, tests in NOTES.items():
        assert tests, name
        for file, function in tests:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert function in {getattr(node, "name", "") for node in tree.body}, f"{name}: {file}::{function}"
