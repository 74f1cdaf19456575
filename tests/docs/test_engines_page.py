"""`docs/explanation/engines.md`: each cell of its table names tests, and the tests are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "engines.md").read_text(encoding="utf-8")
#: The engines of each table, with how their footnotes begin.
TABLES = [
    {"threads": "t-", "celery": "c-", "django_tasks": "d-"},
    {"dramatiq": "q-", "huey": "q-", "rq": "q-"},
]


def rows() -> list[tuple[dict[str, str], list[str]]]:
    """The tables, row by row, without their heads: the table's engines, and the cells."""
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE)]
    assert [re.findall(r'`"(\w+)"`', table[0]) for table in tables] == [list(engines) for engines in TABLES]
    return [
        (engines, [cell.strip() for cell in line.strip("|").split("|")])
        for engines, table in zip(TABLES, tables, strict=True)
        for line in table[2:]
    ]


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
    for engines, (guarantee, *cells) in rows():
        assert len(cells) == len(engines), guarantee
        for engine, cell in zip(engines, cells, strict=True):
            notes = re.findall(r"\[\^(\S+?)\]", cell)
            assert notes, f"{guarantee}, {engine}: names no test"
            assert {note[:2] for note in notes} == {engines[engine]}, f"{guarantee}, {engine}: {notes}"
            cited.update(notes)
    assert cited == set(footnotes())


def test_the_tests_that_the_footnotes_name_are_there() -> None:
    """A test that is renamed or removed takes the statement with it."""
    named = [test for tests in footnotes().values() for test in tests]
    assert all(footnotes().values())
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []
