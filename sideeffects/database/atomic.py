"""Watching `transaction.atomic`: which transactions are open, where each was opened, what became of it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.open_transactions import Transaction, open_transactions
from sideeffects._core.state.state import state
from sideeffects._core.values.callers import PACKAGE_FOLDER
from sideeffects.database import autocommit

_MARK: Final = "_side_effects_watched"
_DJANGO: Final = f"{os.sep}django{os.sep}"
#: How far up is looked for the code that had Django open a transaction.
_DEPTH: Final = 15
_installed: Final[list[bool]] = []


def install() -> None:
    """Watch from now on, as soon as Django's transactions are there."""
    if _installed:
        return
    with state.lock:
        if not _installed:
            _installed.append(True)
            import_hooks.after_import("django.db.transaction", _watch)


def _watch(module: Any) -> None:
    autocommit.watch(module)
    atomic = module.Atomic
    if not hasattr(atomic, _MARK):
        setattr(atomic, _MARK, True)
        atomic.__enter__ = _entering(atomic.__enter__, module.get_connection)
        atomic.__exit__ = _exiting(atomic.__exit__, module.get_connection)


def _entering(original: Callable[[Any], Any], connection_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def enter(self: Any) -> Any:
        result = original(self)
        if not self._from_testcase:
            connection = connection_of(self.using)
            known = open_transactions.get()
            parent = next((one for one in reversed(known) if one.is_open and one.connection is connection), None)
            opened = Transaction(connection, self, *_opener(sys._getframe(1)), parent)  # noqa: SLF001 - who opens it
            open_transactions.set((*known, opened))
        return result

    return enter


def _exiting(original: Callable[..., Any], connection_of: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def leave(self: Any, kind: Any, error: Any, traceback: Any) -> Any:
        if self._from_testcase:
            return original(self, kind, error, traceback)
        connection = connection_of(self.using)
        known = open_transactions.get()
        opened = next((one for one in reversed(known) if one.owner is self and one.connection is connection), None)
        if opened is None:  # opened before anybody watched
            return original(self, kind, error, traceback)
        # Left now: callbacks that run after the commit are outside of it.
        opened.close()
        open_transactions.set(tuple(one for one in known if one.is_open))
        if kind is not None or connection.needs_rollback or connection.closed_in_transaction:
            opened.roll_back()
        try:
            return original(self, kind, error, traceback)
        except BaseException:
            # The commit has failed, or a callback after it.
            if opened.parent is not None or not connection.run_commit_hooks_on_set_autocommit_on:
                opened.roll_back()
            raise

    return leave


def _opener(frame: FrameType | None) -> tuple[CodeType, int]:
    """The code that opened a transaction: the application's line, a function that `atomic` decorates, else Django's."""
    first = frame
    for _ in range(_DEPTH):
        if frame is None:
            break
        code = frame.f_code
        if code.co_filename == contextlib.__file__:
            decorated = frame.f_locals.get("func")
            target = getattr(inspect.unwrap(decorated), "__code__", None) if callable(decorated) else None
            if target is not None:
                return target, -1
        elif _DJANGO not in code.co_filename and not code.co_filename.startswith(PACKAGE_FOLDER):
            return code, frame.f_lasti
        frame = frame.f_back
    assert first is not None  # noqa: S101 - somebody has called
    return first.f_code, first.f_lasti
