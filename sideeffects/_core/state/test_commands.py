"""Does a management command extend Django's `test`? Its source tells, before anything of the project is imported.

The class itself is known only once the apps are loaded, and by then models and `ready()` may have called effects. Only
what stands in the source is seen: a base class that a function returns is not.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from typing import Final

_A_TEST_COMMAND: Final = re.compile(r"\.management\.commands\.(test|testserver)(\.|$)")


def is_test_command(module: str) -> bool:
    """Whether a class of this module is the command `test` of Django, or of whoever replaces it."""
    return _A_TEST_COMMAND.search(module) is not None


def extends_test(command: str, installed_apps: Iterable[object]) -> bool:
    """Whether the class of `command` has a `test` command among its ancestors.

    Args:
        command: as on the command line.
        installed_apps: as in the settings; of two that have the command the first counts.
    """
    if not command.isidentifier():
        return False
    _spec_of.cache_clear()  # `sys.path` may have changed since
    _tree_of.cache_clear()
    for entry in installed_apps:
        for package in _packages_of(entry) if isinstance(entry, str) else ():
            folder = _folder_of(package)
            if folder and os.path.isfile(os.path.join(folder, "management", "commands", f"{command}.py")):
                return _leads_to_test(f"{package}.management.commands.{command}.Command", set())
    return False


def _packages_of(entry: str) -> Iterator[str]:
    """The packages that an entry of INSTALLED_APPS may mean: itself, or that of its `AppConfig`."""
    while entry:
        yield entry
        entry, _, name = entry.rpartition(".")
        if name[:1].isupper():
            for statement in _definitions(entry, name):
                yield from _name_given_in(statement)


def _name_given_in(statement: ast.stmt) -> Iterator[str]:
    for line in getattr(statement, "body", ()):
        if isinstance(line, ast.Assign) and _assigns(line, "name") and isinstance(line.value, ast.Constant):
            yield str(line.value.value)


def _assigns(line: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in line.targets)


def _leads_to_test(path: str, seen: set[str]) -> bool:
    """Whether a dotted path is a `test` command, or the name of something that extends one."""
    if is_test_command(path):
        return True
    if path in seen:
        return False
    seen.add(path)
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        if _spec_of(module) is not None:
            name, *rest = parts[length:]
            return any(
                _leads_to_test(".".join((target, *rest)), seen)
                for statement in _definitions(module, name)
                for target in _targets(statement, name, module)
            )
    return False


def _definitions(module: str, name: str) -> Iterator[ast.stmt]:
    """The statements of a module that may give `name` its value, those under `if` and `try` included."""
    remaining: list[ast.AST] = [_tree_of(module)]
    while remaining:
        node = remaining.pop()
        if isinstance(node, ast.ClassDef):
            if node.name == name:
                yield node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if any((alias.asname or alias.name.partition(".")[0]) in (name, "*") for alias in node.names):
                yield node
        elif isinstance(node, ast.Assign):
            if _assigns(node, name):
                yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            remaining += ast.iter_child_nodes(node)


def _targets(statement: ast.stmt, name: str, module: str) -> Iterator[str]:
    """The dotted paths of what `statement` makes of `name`; for a class those of its bases."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname == name:
                yield alias.name
            elif alias.asname is None and alias.name.partition(".")[0] == name:
                yield name
    elif isinstance(statement, ast.ImportFrom):
        source = _source_of(statement, module)
        for alias in statement.names:
            if (alias.asname or alias.name) in (name, "*"):
                yield f"{source}.{name if alias.name == '*' else alias.name}"
    else:
        values = statement.bases if isinstance(statement, ast.ClassDef) else [getattr(statement, "value", None)]
        for value in values:
            dotted = _dotted(value)
            if dotted:
                yield f"{module}.{dotted}"


def _source_of(statement: ast.ImportFrom, module: str) -> str:
    """The module that a `from` import means, relative ones resolved."""
    if not statement.level:
        return statement.module or ""
    spec = _spec_of(module)
    parts = module.split(".")
    is_package = spec is not None and spec.submodule_search_locations is not None
    base = parts[: len(parts) - statement.level + is_package]
    return ".".join((*base, *filter(None, [statement.module])))


def _dotted(value: ast.AST | None) -> str:
    if isinstance(value, ast.Name):
        return value.id
    if isinstance(value, ast.Attribute):
        owner = _dotted(value.value)
        return f"{owner}.{value.attr}" if owner else ""
    return ""


@functools.lru_cache(maxsize=64)
def _tree_of(module: str) -> ast.Module:
    spec = _spec_of(module)
    try:
        source = None if spec is None or spec.loader is None else getattr(spec.loader, "get_source")(module)  # noqa: B009 - not in the type of all loaders
        return ast.parse(source or "")
    except Exception:  # noqa: BLE001 - it will not be imported either, and the import says why
        return ast.parse("")


def _folder_of(package: str) -> str:
    spec = _spec_of(package)
    return "" if spec is None else next(iter(spec.submodule_search_locations or ()), "")


@functools.lru_cache(maxsize=4096)
def _spec_of(module: str) -> ModuleSpec | None:
    """Where a module is, without importing the packages that it is in, as `importlib.util.find_spec` would."""
    package, _, name = module.rpartition(".")
    path: list[str] | None = None
    if package:
        above = _spec_of(package)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in list(sys.meta_path):
        find_spec = getattr(finder, "find_spec", None)
        try:
            spec: ModuleSpec | None = None if find_spec is None else find_spec(module, path)
        # A folder without `__init__.py`, of which Python asks the package that it is in; the second is of 3.15.
        except (KeyError, ModuleNotFoundError):
            spec = ModuleSpec(module, None, is_package=True)
            folders = [os.path.join(folder, name) for folder in path or ()]
            spec.submodule_search_locations = [folder for folder in folders if os.path.isdir(folder)]
        if spec is not None:
            return spec
    return None
