"""Doing something whenever a module is imported, and finding which modules hold a function under another name.

wrapt has import hooks too, but its hooks are called once: a module that is reloaded, imported again after it was taken
out of `sys.modules`, or imported again after a hook had refused it, would be there without what the hook does to it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

Hook = Callable[[ModuleType], None]


def after_import(module: str, hook: Hook) -> None:
    """Call `hook` with the module each time that it has been imported or reloaded; now as well, if it already is.

    What the hook raises, the import raises: the module is then not imported.
    """
    with _finder.lock:
        # First again: finders that others have put before it since would find the module without it.
        sys.meta_path[:] = [_finder, *(finder for finder in sys.meta_path if finder is not _finder)]
        hooks = _finder.hooks.setdefault(module, [])
        if hook not in hooks:
            hooks.append(hook)
    there = sys.modules.get(module)
    if there is not None:
        hook(there)


class _Finder(MetaPathFinder):
    """Lets others find the module, and puts a loader around theirs."""

    def __init__(self) -> None:
        self.hooks: dict[str, list[Hook]] = {}
        self.lock = threading.RLock()
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.hooks or getattr(self._asking, "about", None) == fullname:
            return None
        before = getattr(self._asking, "about", None)
        # Finders like this one ask all others, and so would come back here.
        self._asking.about = fullname
        try:
            spec = self._ask_others(fullname, path, target)
        finally:
            self._asking.about = before
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.hooks[fullname])
        return spec

    def _ask_others(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            if finder is not self:
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader(Loader):
    """Calls the hooks once the module has been executed. Nobody sees it: the module gets the loader that it has."""

    def __init__(self, loader: Any, hooks: list[Hook]) -> None:
        self._loader = loader
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        # `exec_module` may have put another object in the module's place, and that is what importers get.
        there = sys.modules.get(module.__name__, module)
        for hook in list(self._hooks):
            hook(there)


_finder: Final = _Finder()


def _after_fork_in_child() -> None:
    # A lock that another thread held at the fork would stay locked for good.
    _finder.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


def holders_of(value: object) -> Iterator[tuple[Any, str]]:
    """The imported modules that have `value` as an attribute, with the attribute's name."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType):
            for name, held in list(vars(module).items()):
                if held is value:
                    yield module, name
