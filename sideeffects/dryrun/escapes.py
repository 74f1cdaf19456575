"""Ways out of a dry run that the guard does not see: Python's own processes and interpreters, connections past Django.

Patched once, at the first dry run. Code that belongs to no dry run is not touched.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.state import state
from sideeffects.database import driver_connections
from sideeffects.dryrun import database_files, publishing, servers
from sideeffects.dryrun.membership import belong

__tracebackhide__ = True

_installed: Final[list[bool]] = []
#: Whether Django itself is connecting, to a connection that is held.
connecting: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("sideeffects_connecting", default=False)


def install() -> None:
    """Patch, if that has not been done."""
    if _installed:
        return
    with state.lock:
        if not _installed:
            _installed.append(True)
            for name in ("fork", "forkpty"):
                if hasattr(os, name):
                    setattr(os, name, _refusing(getattr(os, name), _PROCESS))
            import_hooks.after_import("multiprocessing.process", _in_multiprocessing)
            import_hooks.after_import("concurrent.futures.process", _in_pools)
            import_hooks.after_import("concurrent.interpreters", _in_interpreters)
            import_hooks.after_import("concurrent.futures.interpreter", _in_interpreter_pools)
            import_hooks.after_import("psycopg", _in_psycopg)
            import_hooks.after_import("psycopg_pool.pool", _in_psycopg_pool)
            driver_connections.wrap_each(_refusing_driver)
            publishing.Hooks(belong).install()
            sys.addaudithook(_hook)


_PROCESS: Final = (
    "a child process was started, in which nothing would be held back: do its work in this process, or declare what "
    "starts it as an effect"
)
_INTERPRETER: Final = (
    "work was handed to another interpreter, in which nothing would be held back: do it in this one, or declare what "
    "hands it over as an effect"
)
_CONNECTION: Final = "psycopg was asked for a connection without Django, which nothing would roll back: use Django's"

_STATEMENT: Final = "a connection of psycopg was used without Django, which nothing would roll back: use Django's"


def _refusing(original: Callable[..., Any], reason: str) -> Any:
    @functools.wraps(original)
    def refusing(*args: Any, **kwargs: Any) -> Any:
        if not connecting.get():
            for holder in belong():
                holder.refusals.refuse(reason)
        return original(*args, **kwargs)

    return refusing


def _in_multiprocessing(module: Any) -> None:
    module.BaseProcess.start = _refusing(module.BaseProcess.start, _PROCESS)


def _in_pools(module: Any) -> None:
    module.ProcessPoolExecutor.submit = _refusing(module.ProcessPoolExecutor.submit, _PROCESS)


def _in_interpreters(module: Any) -> None:
    for name in ("exec", "call", "call_in_thread"):
        setattr(module.Interpreter, name, _refusing(getattr(module.Interpreter, name), _INTERPRETER))


def _in_interpreter_pools(module: Any) -> None:
    module.InterpreterPoolExecutor.submit = _refusing(module.InterpreterPoolExecutor.submit, _INTERPRETER)


def _refusing_driver(original: Callable[..., Any], driver: str) -> Any:
    return _refusing(
        original, f"{driver} was asked for a connection without Django, which nothing would roll back: use Django's"
    )


def _in_psycopg(module: Any) -> None:
    for kind in (module.Connection, module.AsyncConnection):
        kind.connect = classmethod(_refusing(kind.connect.__func__, _CONNECTION))
    module.connect = module.Connection.connect
    for kind in (module.Cursor, module.ServerCursor, module.AsyncCursor, module.AsyncServerCursor):
        for name in {"execute", "executemany", "copy", "stream"} & set(vars(kind)):
            setattr(kind, name, _held_only(vars(kind)[name]))


#: On a connection of psycopg that is held, how often it is.
HELD: Final = "_side_effects_held"


def _held_only(original: Callable[..., Any]) -> Any:
    """Connections that were there before, and that Django hands out in other threads, are used past it as well."""

    @functools.wraps(original)
    def statement(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(self.connection, HELD, 0) and not connecting.get():
            for holder in belong():
                holder.refusals.refuse(_STATEMENT)
        return original(self, *args, **kwargs)

    return statement


def _in_psycopg_pool(module: Any) -> None:
    original = module.ConnectionPool._connect  # noqa: SLF001 - there is no other place before the connection is set up

    @functools.wraps(original)
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Django's pool connects in threads of its own, which may have been started by a dry run, and outlive it."""
        token = connecting.set(connecting.get() or _is_pool_of_django(self))
        try:
            return original(self, *args, **kwargs)
        finally:
            connecting.reset(token)

    module.ConnectionPool._connect = connect  # noqa: SLF001 - as above


def _is_pool_of_django(pool: Any) -> bool:
    base: Any = sys.modules.get("django.db.backends.postgresql.base")
    return base is not None and any(pool is one for one in base.DatabaseWrapper._connection_pools.values())  # noqa: SLF001


def _sqlite_connected(args: tuple[Any, ...]) -> str:
    """An audit event, since `connect` is a name that others may have taken hold of, and the class connects as well."""
    path = database_files.path_of(args[0])
    if not path or not database_files.alias_of(path):
        return ""
    return (
        f"sqlite3 was asked for a connection to {args[0]!r} without Django, which nothing would roll back: use Django's"
    )


#: Events of Python that may lead out of a dry run, each with why it is refused; empty when it is not.
_EVENTS: Final = {"sqlite3.connect": _sqlite_connected, **database_files.EVENTS, **servers.EVENTS}


def _hook(
    event: str,
    args: tuple[Any, ...],
    # Bound here: at the interpreter's end the module's names are gone, and events still come.
    get: Callable[[str], Callable[[tuple[Any, ...]], str] | None] = _EVENTS.get,
    is_over: Callable[[], bool] = sys.is_finalizing,
) -> None:
    reason_against = get(event)
    if reason_against is None or is_over() or connecting.get():
        return
    for holder in belong():
        reason = reason_against(args)
        if reason:
            holder.refusals.refuse(reason)
