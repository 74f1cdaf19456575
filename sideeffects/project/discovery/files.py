"""Which source files belong to the project, and under which names they are imported.

They are those of all installed apps, and those in the folder that holds the settings' top-level package, as far as
they can be imported from there. Tests, migrations, scripts, hidden folders and virtual environments are left out, and
so is what else is installed.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from sideeffects._core.values.whose_code import OWN, kind_of

_OURSELVES: Final = "sideeffects"
_LEFT_OUT_FILES: Final = frozenset(("__main__", "conftest", "manage", "setup", "tests"))
_LEFT_OUT_FOLDERS: Final = frozenset(
    ("__pycache__", "dist-packages", "migrations", "node_modules", "site-packages", "tests")
)
#: Left out where they are no packages: they hold copies of the sources, or examples.
_LEFT_OUT_UNLESS_PACKAGES: Final = frozenset(("build", "dist", "docs"))
_OTHER_PROJECT: Final = ("manage.py", "pyproject.toml", "setup.cfg", "setup.py")


def module_files(settings: Any, apps: Any) -> dict[str, Path]:
    """The project's source files by the names of their modules.

    Args:
        settings: Django's settings.
        apps: Django's registry of apps, ready.
    """
    found = _Found(settings)
    # An app inside another one's folder may have a name of its own, so the innermost come first.
    for app in sorted(apps.get_app_configs(), key=lambda app: -len(app.path)):
        if app.name != _OURSELVES:
            found.add_module(app.module)
    top = sys.modules.get(_settings_module(settings).partition(".")[0])
    if top is not None and top.__name__ not in _LEFT_OUT_FOLDERS:  # a package's tests may hold its settings
        found.add_module(top)
    for root in _import_roots(settings, top):
        found.add_root(root)
    return found.files


def own_files(settings: Any, apps: Any) -> dict[str, Path]:
    """These without installed packages, into which nobody writes; all, for a project that is one itself."""
    files = module_files(settings, apps)
    return {name: path for name, path in files.items() if kind_of(str(path)) == OWN} or files


def _settings_module(settings: Any) -> str:
    return getattr(settings, "SETTINGS_MODULE", "") or ""


class _Found:
    """Collects files, each once, under the first name that is given for it."""

    def __init__(self, settings: Any) -> None:
        self.files: dict[str, Path] = {}
        self._seen: set[str] = set()
        self._settings_module = _settings_module(settings)

    def add_module(self, module: Any) -> None:
        """Add an imported module: the whole folder when it is a package."""
        folders = getattr(module, "__path__", None)
        if folders is not None:
            for folder in folders:
                self._add_folder(Path(folder), module.__name__)
        elif getattr(module, "__file__", None):
            self._add_file(Path(module.__file__), module.__name__)

    def add_root(self, root: Path) -> None:
        """Add what can be imported from a folder of `sys.path`."""
        if not self._is_new(root):
            return
        for path, is_folder in _entries(root):
            name = path.name if is_folder else path.stem
            if name == _OURSELVES or not _is_found_by_import(name, path):
                continue
            if not is_folder:
                self._add_file(path, name)
            elif _is_worth_entering(path):
                self._add_folder(path, name)

    def _add_folder(self, folder: Path, name: str) -> None:
        if not self._is_new(folder):
            return
        for path, is_folder in _entries(folder):
            if not is_folder:
                self._add_file(path, name if path.stem == "__init__" else f"{name}.{path.stem}")
            elif _is_worth_entering(path):
                self._add_folder(path, f"{name}.{path.name}")

    def _add_file(self, path: Path, name: str) -> None:
        stem = path.stem
        if stem in _LEFT_OUT_FILES or stem.startswith("test_") or stem.endswith("_test"):
            return
        if not self._is_other_settings(name) and self._is_new(path):
            self.files.setdefault(name, path)

    def _is_new(self, path: Path) -> bool:
        """Whether this file or folder has not been met, by way of a link either."""
        real = os.path.realpath(path)
        if real in self._seen:
            return False
        self._seen.add(real)
        return True

    def _is_other_settings(self, name: str) -> bool:
        """Whether it looks like settings of another environment: importing them would mix two."""
        package, _, own = self._settings_module.rpartition(".")
        holder, _, other = name.rpartition(".")
        if not own or holder != package or name == self._settings_module:
            return False
        return package.rpartition(".")[2] == "settings" or other.startswith("settings") or other.endswith("settings")


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Source files and folders that can be modules, in order, files first; each with whether it is a folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_dir(), entry.name))
    except OSError:  # a folder that may not be looked into holds nothing that could be imported
        return
    for entry in entries:
        is_folder = entry.is_dir()
        name = entry.name if is_folder else entry.name.removesuffix(".py")
        if name.isidentifier() and (is_folder or entry.name.endswith(".py")):
            yield Path(entry.path), is_folder


def _is_worth_entering(folder: Path) -> bool:
    if folder.name in _LEFT_OUT_FOLDERS or (folder / "pyvenv.cfg").exists():
        return False
    if (folder / "__init__.py").exists():
        return True
    if folder.name in _LEFT_OUT_UNLESS_PACKAGES:
        return False
    return not any((folder / name).exists() for name in _OTHER_PROJECT)


def _is_found_by_import(name: str, path: Path) -> bool:
    """Whether `import name` finds this file or folder, and not something else of that name."""
    spec = PathFinder.find_spec(name)
    if spec is None:
        return False
    real = os.path.realpath(path)
    places = [spec.origin] if spec.submodule_search_locations is None else spec.submodule_search_locations
    return any(place is not None and os.path.realpath(place) == real for place in places)


def _import_roots(settings: Any, top: Any) -> list[Path]:
    """The folders of `sys.path` that are the project's own, the innermost first."""
    above = [Path(place).parent for place in getattr(top, "__path__", [])]
    if not above and getattr(top, "__file__", None):
        above = [Path(top.__file__).parent]
    base = getattr(settings, "BASE_DIR", None)
    if isinstance(base, str | os.PathLike):
        above.append(Path(base))
    own = [Path(os.path.realpath(folder)) for folder in above]
    roots = []
    for entry in sys.path:
        root = Path(entry or os.getcwd())
        real = Path(os.path.realpath(root))
        if real.is_dir() and any(real.is_relative_to(folder) and _is_own(real, folder) for folder in own):
            roots.append(root)
    # A file below two of them is imported by its shorter name.
    return sorted(dict.fromkeys(roots), key=lambda root: -len(root.parts))


def _is_own(folder: Path, above: Path) -> bool:
    """Whether a folder of the project holds the project's code, rather than what is installed."""
    if any(part in _LEFT_OUT_FOLDERS or part.startswith(".") for part in folder.relative_to(above).parts):
        return False
    return folder.name not in ("site-packages", "dist-packages") and str(folder) not in _installed_folders()


def _installed_folders() -> frozenset[str]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return frozenset(os.path.realpath(path) for name in names if (path := sysconfig.get_path(name)))
