"""`docs/explanation/engines.md`: each cell of its table names tests, and the tests are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "engines.md").read_text(encoding="utf-8")
ENGINES = ["threads", "celery", "django_tasks"]


def rows() -> list[list[str]]:
    """The table, cell by cell, without its head."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert re.findall(r'`"(\w+)"`', lines[0]) == ENGINES
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def footnotes() -> dict[str, list[tuple[str, str]]]:
    """Each footnote with the tests that it names: file and function."""
    return {
        name: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
        for name, text in re.findall(r"^\[\^(\S+)\]: (.+(?:\n    .+)*)", PAGE, flags=re.MULTILINE)
    }


def functions_of(file: str) -> set[str]:
    """The test functions of a module."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_cell_of_the_table_has_a_footnote_of_its_engine() -> None:
    """What an engine guarantees is said for all of them, and no footnote is left over."""
    cited = set()
    for guarantee, *cells in rows():
        assert len(cells) == len(ENGINES), guarantee
        for engine, cell in zip(ENGINES, cells, strict=True):
            notes = re.findall(r"\[\^(\S+?)\]", cell)
            assert notes, f"{guarantee}, {engine}: names no test"
            assert {note[:2] for note in notes} == {f"{engine[0]}-"}, f"{guarantee}, {engine}: {notes}"
            cited.update(notes)
    assert cited == set(footnotes())


def test_the_tests_that_the_footnotes_name_are_there() -> None:
    """A test that is renamed or removed takes the statement with it."""
    named = [test for tests in footnotes().values() for test in tests]
    assert all(footnotes().values())
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []
