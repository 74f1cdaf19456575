"""Each folder imports only lower floors, in the order of one table; `_core` imports nothing foreign."""

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
        row = re.match(r"\| (\d+) \| ([^|]+) \|", line)
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


def room_of(module: str) -> str:
    """What the table lists a module as: its own file, or else the nearest folder that holds it."""
    relative = MODULES[module].relative_to(PACKAGE)
    folders = [f"{folder.as_posix()}/" for folder in relative.parents[:-1]]
    return next((listed for listed in (relative.as_posix(), *folders) if listed in FLOORS), "")


def floor_of(module: str) -> int:
    """The floor of a module, by its room; one that has none fails the first test below."""
    return FLOORS.get(room_of(module), 0)


def imported_by(module: str) -> Iterator[tuple[str, bool]]:
    """What a module imports or names in a string, with whether it does so while it is imported itself."""
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
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            name = node.value.partition(":")[0].rstrip(".")
            if name in MODULES and not module.startswith(f"{name}."):  # the prefix of its neighbours' names
                yield name, False


def own_imports(module: str) -> set[str]:
    """The modules of the package that a module imports. The package itself, whose name is the door's, is none."""
    return {name for name, _ in imported_by(module) if name in MODULES and name != "sideeffects"}


def test_the_table_lists_all_rooms_and_no_others() -> None:
    """`docs/architecture.md` is the one list, and it is complete."""
    rooms = {module: room_of(module) for module in MODULES if module != "sideeffects._core"}
    assert not [module for module, room in rooms.items() if not room]
    assert set(FLOORS) == set(rooms.values())
    assert set(FLOORS.values()) == set(range(max(FLOORS.values()) + 1))


def test_every_file_that_the_page_names_is_there() -> None:
    """By its path, or by its name within a folder that the text speaks of."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = {"/" + path.relative_to(PACKAGE).as_posix() for path in MODULES.values()}
    assert not [
        named
        for named in re.findall(r"`([\w/]+\.py)`", page)
        if not any(path.endswith(f"/{named.removeprefix('sideeffects/')}") for path in there)
    ]


def test_only_core_is_private_by_name() -> None:
    """Every other file and folder may be opened by a reader, and says what it is about."""
    relative = [path.relative_to(PACKAGE) for path in MODULES.values()]
    assert {part for path in relative for part in path.with_suffix("").parts if part.startswith("_")} == {
        "__init__",
        "_core",
    }


def test_the_root_holds_doors_and_folders_alone() -> None:
    """A stranger sees at once where to go in."""
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "apps.py", "errors.py", "saferunner.py", "pytest_plugin.py", "py.typed"}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "sideeffects"])
def test_a_module_imports_only_its_own_room_and_lower_floors(module: str) -> None:
    """Inside functions and by strings neither."""
    room, floor = room_of(module), floor_of(module)
    assert not {name for name in own_imports(module) if room_of(name) != room and floor_of(name) >= floor}


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_longer_than_a_screen(module: str) -> None:
    """Sixty lines, with its docstring."""
    functions = [
        node
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 60]


def test_no_two_modules_import_each_other() -> None:
    """There is an order in which they can be read: no circle, however long, not even one hidden inside a function."""
    graph = {module: own_imports(module) for module in MODULES if module != "sideeffects"}
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


def test_no_two_folders_import_each_other() -> None:
    """Folders inside folders neither (`testing/races` and `testing/faults`, say)."""
    graph: dict[Path, set[Path]] = {}
    for module, path in MODULES.items():
        for name in own_imports(module):
            one, other = path.parent, MODULES[name].parent
            if one != other and one not in other.parents and other not in one.parents:
                graph.setdefault(one, set()).add(other)
    assert not {(one, other) for one, others in graph.items() for other in others if one in graph.get(other, ())}


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("sideeffects._core.")])
def test_core_names_nothing_foreign(module: str) -> None:
    """Neither at the top nor inside functions."""
    assert not {name for name, _ in imported_by(module) if name.partition(".")[0] in FOREIGN}


@pytest.mark.parametrize("module", [module for module in MODULES if 8 <= floor_of(module) <= 10])
def test_what_stands_on_core_imports_nothing_foreign_at_the_top(module: str) -> None:
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
        state.test_run.latch("for this test")
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


def test_core_can_be_imported_without_the_foreign_ones() -> None:
    """In a process in which they cannot be imported at all."""
    lower = ", ".join(module for module in MODULES if module.startswith("sideeffects._core"))
    blocked = f"import sys; sys.modules.update(dict.fromkeys({FOREIGN!r})); import {lower}; print('imported')"
    assert run(blocked) == "imported"
