"""Which modules a look for effects may import: those of installed apps, and those that these import.

A script never: a module in a folder `scripts`, or one at the top that does something when it is imported. Such are run
by somebody who means it, and running them is what importing them does.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from typing import Any, Final

from sideeffects.project.discovery.module import Module, asks_for_main, chain_of
from sideeffects.project.discovery.survey import Survey

_SCRIPTS: Final = frozenset(("script", "scripts"))
#: Statements that do something wherever they stand.
_ACTING: Final = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Delete, ast.AugAssign, ast.Await)


def importable(names: Iterable[str], survey: Survey, apps: Any) -> frozenset[str]:
    """Those of the modules that may be imported.

    Args:
        names: modules that may declare effects.
        survey: what their source says.
        apps: Django's registry of apps, ready.
    """
    packages = frozenset(app.name for app in apps.get_app_configs())
    asking = _Asking(survey, packages)
    return frozenset(name for name in names if asking.may_be_imported(name))


class _Asking:
    def __init__(self, survey: Survey, packages: Collection[str]) -> None:
        self._survey = survey
        self._packages = packages
        self._imported: dict[str, bool] = {}

    def may_be_imported(self, name: str) -> bool:
        if not _SCRIPTS.isdisjoint(name.split(".")):
            return False
        if self._is_of_app(name):
            return True
        module = self._survey.module(name)
        if module is None or ("." not in name and acts(module, self._survey)):
            return False
        return self._is_imported_from_app(name)

    def _is_of_app(self, name: str) -> bool:
        while name:
            if name in self._packages:
                return True
            name = name.rpartition(".")[0]
        return False

    def _is_imported_from_app(self, name: str) -> bool:
        """Whether a module of an app imports it, by way of others too; each module is asked once."""
        met = {name}
        waiting = [name]
        while waiting:
            here = waiting.pop()
            for importer in self._survey.speakers([here.rpartition(".")[2]]):
                if importer in met or not _SCRIPTS.isdisjoint(importer.split(".")):
                    continue
                module = self._survey.module(importer)
                if module is not None and _imports(module, here):
                    if self._is_of_app(importer):
                        return True
                    met.add(importer)
                    waiting.append(importer)
        return False


def _imports(module: Module, name: str) -> bool:
    """Whether importing the module, or a function of it, imports the other one, or a module below it."""
    below = f"{name}."
    return any(path == name or path.startswith(below) for path in (*module.imported, *module.stars))


def acts(module: Module, survey: Survey) -> bool:
    """Whether importing a module does more than define: it loops, or calls something for what that does."""
    waiting: list[ast.AST] = list(module.tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, _ACTING):
            return True
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            call = node.value
            chain = chain_of(call.func) if isinstance(call, ast.Call) else ""
            if not chain or not survey.is_declarer(module.expand(chain)):
                return True
        elif isinstance(node, ast.If | ast.Try | ast.TryStar | ast.ExceptHandler):
            is_main = isinstance(node, ast.If) and asks_for_main(node.test)
            waiting += node.orelse if is_main and isinstance(node, ast.If) else ast.iter_child_nodes(node)
    return False
