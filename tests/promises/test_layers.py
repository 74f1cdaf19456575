"""Each floor of the package imports only lower ones, and floors 0 to 4 nothing of Django, Sentry, Celery or pytest."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sideeffects"
FOREIGN = ("django", "sentry_sdk", "celery", "pytest", "_pytest")


def table() -> dict[str, int]:
    """The floors as `docs/architecture.md` lists them: module or folder to floor."""
    floors: dict[str, int] = {}
    for line in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| (\d) \| ([^|]+) \|", line)
        if row:
            for listed in re.findall(r"`([^`]+)`", row[2]):
                assert listed not in floors, f"{listed} is listed twice"
                floors[listed] = int(row[1])
    return floors


FLOORS = table()
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def listed_as(module: str) -> str | None:
    """What the table lists a module as: its own file, or else the nearest folder that holds it."""
    relative = MODULES[module].relative_to(PACKAGE)
    folders = [f"{folder.as_posix()}/" for folder in relative.parents[:-1]]
    return next((listed for listed in (relative.as_posix(), *folders) if listed in FLOORS), None)


def floor_of(module: str) -> int:
    """The floor of a module, by its file or by its folder."""
    return FLOORS.get(listed_as(module) or "", 0)  # a module that is not listed fails the first test below


def imported_by(module: str) -> Iterator[tuple[str, bool]]:
    """What a module imports, with whether it does so while it is imported itself."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_import = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, at_import
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield (name if name in MODULES else str(node.module)), at_import


def test_the_table_lists_all_modules_and_no_others() -> None:
    """`docs/architecture.md` is the one list, and it is complete."""
    listed = {module: listed_as(module) for module in MODULES}
    assert not [module for module, entry in listed.items() if entry is None]
    assert set(FLOORS) == set(listed.values())
    assert set(FLOORS.values()) == set(range(8))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_no_higher_floor(module: str) -> None:
    """Inside functions neither."""
    higher = {
        name
        for name, _ in imported_by(module)
        if name in MODULES and name != "sideeffects" and floor_of(name) > floor_of(module)
    }
    assert not higher


def test_no_two_modules_import_each_other() -> None:
    """There is an order in which they can be read: no circle, however long, not even one hidden inside a function."""
    graph = {module: {name for name, _ in imported_by(module) if name in MODULES} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            # A package's own `__init__` is imported with each of its modules, and is no dependency of theirs.
            for name in graph[module] - {module}:
                visit(name, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", [module for module in MODULES if floor_of(module) <= 4])
def test_floors_0_to_4_name_nothing_foreign(module: str) -> None:
    """Neither at the top nor inside functions."""
    assert not {name for name, _ in imported_by(module) if name.partition(".")[0] in FOREIGN}


@pytest.mark.parametrize("module", [module for module in MODULES if floor_of(module) == 5])
def test_floor_5_imports_nothing_foreign_at_the_top(module: str) -> None:
    """What needs Django imports it when it is there."""
    assert not {name for name, at_import in imported_by(module) if at_import and name.partition(".")[0] in FOREIGN}


def run(source: str) -> str:
    """The output of a program in a process of its own, outside any test run."""
    ran = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTEST_VERSION", "SIDE_EFFECTS_TEST_RUN", "SIDE_EFFECTS_JOURNAL", "DJANGO_SETTINGS_MODULE")
        },
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


SEEN = f"print(sorted(set(sys.modules) & set({FOREIGN!r})))"


def test_importing_the_package_imports_nothing_foreign() -> None:
    """Although all of it is installed here."""
    assert run(f"import sys, sideeffects; {SEEN}") == "[]"


def test_a_call_imports_nothing_foreign() -> None:
    """Nor does a call, recorded or executed, in production or in a test run, captured, enqueued, explained."""
    source = f"""
import sys
from sideeffects import *

@side_effect(name="send", async_ok=True, on_commit=True)
def send(to): ...

for latch in (False, True):
    if latch:
        from sideeffects._core.state.state import state
        state.latch("for this test")
    with capture() as calls:
        send("ann")
        with force_run(send):
            send("ben")
            send.enqueue("cay").result(30)
        with record():
            send("dan")
    explain(send)
    calls.assert_called(send, times=4)
declare("smtplib:SMTP.send_message")
import smtplib
{SEEN}
"""
    assert run(source) == "[]"


def test_floors_0_to_4_can_be_imported_without_the_foreign_ones() -> None:
    """In a process in which they cannot be imported at all."""
    lower = ", ".join(module for module in MODULES if floor_of(module) <= 4)
    blocked = f"import sys; sys.modules.update(dict.fromkeys({FOREIGN!r})); import {lower}; print('imported')"
    assert run(blocked) == "imported"
