"""The files of SQLite's databases: what is done to them past SQLite, no rollback takes back.

Python tells of it by audit events, whichever function of `os`, `shutil` or `pathlib` it is.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

#: What SQLite keeps beside a database, and needs to put it right again.
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_TRUNC | os.O_CREAT
_ADVICE: Final = "which no rollback takes back: declare the function that does it as an effect, or leave the file alone"


def path_of(database: Any) -> str:
    """The path that a name of a database of SQLite means; empty for one in memory."""
    name = os.fsdecode(database) if database else ""
    if name.startswith("file:"):
        path, _, query = name.removeprefix("file:").partition("?")
        name = "" if "mode=memory" in query else unquote(path)
    return "" if name in ("", ":memory:") or name.startswith("file::memory:") else os.path.abspath(name)


def databases() -> Mapping[str, str]:
    """The path of each of Django's databases that is a file, by alias."""
    if "django.db" not in sys.modules:
        return {}
    from django.db import connections

    found = {
        alias: path_of(settings["NAME"])
        for alias, settings in connections.settings.items()
        if "sqlite" in settings["ENGINE"] or "spatialite" in settings["ENGINE"]
    }
    return {alias: path for alias, path in found.items() if path}


def alias_of(path: Any, folder: Any = None) -> str:
    """The database whose file this is, or lies in this folder; empty if none.

    Args:
        path: a path or the number of an open file.
        folder: the number of an open folder, in which the path is.
    """
    known = databases()
    if not known:
        return ""
    is_inside = folder not in (None, -1)
    there = _status(path, folder if is_inside else None)
    full = "" if is_inside or isinstance(path, int) else os.path.abspath(os.fsdecode(path))
    spellings = {full, os.path.realpath(full)} if full else set()
    for alias, database in known.items():
        for name in {database, os.path.realpath(database)}:
            for part in _BESIDE:
                if name + part in spellings or (there is not None and there == _status(name + part)):
                    return alias
            if any(name.startswith(os.path.join(spelled, "")) for spelled in spellings):
                return alias
            if there is not None and there in map(_status, _folders(name)):
                return alias
    return ""


def _folders(path: str) -> Iterator[str]:
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        yield path


def _status(path: Any, folder: int | None = None) -> tuple[int, int] | None:
    """What a file is, whatever its name; `None` if there is none."""
    try:
        found = os.stat(path, dir_fd=folder)
    except (OSError, ValueError, TypeError):
        return None
    return found.st_dev, found.st_ino


class Identities:
    """Which files the databases were when this was made."""

    def __init__(self) -> None:
        self._before = {alias: (path, _status(path)) for alias, path in databases().items()}

    def replaced(self) -> Iterator[str]:
        """The databases whose file is another one now, or is gone."""
        for alias, (path, before) in self._before.items():
            if before is not None and _status(path) != before:
                yield alias


# -- what Python tells


def _reason(what: str, path: Any, folder: Any = None) -> str:
    alias = alias_of(path, folder)
    return f"{what} the file of the database {alias!r} ({path!r}), {_ADVICE}" if alias else ""


def _opened(args: tuple[Any, ...]) -> str:
    path, _, flags = args[:3]
    if not isinstance(flags, int) or not flags & _WRITING:
        return ""
    try:
        is_file = not isinstance(path, int) or stat.S_ISREG(os.fstat(path).st_mode)
    except OSError:
        return ""
    return _reason("opening for writing", path) if is_file else ""


def _renamed(args: tuple[Any, ...]) -> str:
    source, target, *folders = args
    from_folder, to_folder = folders if len(folders) > 1 else (None, None)
    return _reason("renaming", source, from_folder) or _reason("moving something over", target, to_folder)


def _of_one(what: str, folder_at: int) -> Callable[[tuple[Any, ...]], str]:
    def read(args: tuple[Any, ...]) -> str:
        return _reason(what, args[0], args[folder_at] if 0 < folder_at < len(args) else None)

    return read


#: Why an event is refused, as the beginning of a message about it; empty when it is not.
EVENTS: Final[dict[str, Callable[[tuple[Any, ...]], str]]] = {
    "open": _opened,
    "os.remove": _of_one("deleting", 1),
    "os.rename": _renamed,
    "os.truncate": _of_one("truncating", 0),
    "os.chmod": _of_one("changing the mode of", 2),
    "os.chown": _of_one("changing the owner of", 3),
    "shutil.rmtree": _of_one("deleting", 1),
}
