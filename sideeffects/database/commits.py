"""Commits inside a test's own transaction: what waits for one runs when the application's outermost block is left.

Django's `TestCase`, and pytest-django's rolled-back tests, wrap each test in transactions that never commit. While
somebody asks for commits, these do not count: leaving the outermost `atomic` inside them without an error runs what
`transaction.on_commit` has kept since it was entered, and outside of any such block it runs at once. Rows stay in the
test's transaction. What `captureOnCommitCallbacks` has seen is left to it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from sideeffects._core.state import import_hooks
from sideeffects._core.state.switches import Restorer

_MARK: Final = "_side_effects_commits"
#: Those who ask for commits at this moment: a test's blocks hold for all of its threads.
_asking: Final[list[object]] = []


class _Kept:
    """What is known of one connection.

    Attributes:
        start: how many callbacks it had when the application's outermost block was entered; `None` where nobody asked
            then, or there is none.
        captures: how many `captureOnCommitCallbacks` are open.
        captured: the callbacks, as the connection keeps them, that these have seen.
    """

    __slots__ = ("captured", "captures", "start")

    def __init__(self) -> None:
        self.start: int | None = None
        self.captures = 0
        self.captured: list[Any] = []


_kept: Final[WeakKeyDictionary[Any, _Kept]] = WeakKeyDictionary()


def ask() -> Restorer:
    """Let there be commits in tests, until what this returns is called."""
    _install()
    asking = object()
    _asking.append(asking)

    def leave() -> None:
        if asking in _asking:
            _asking.remove(asking)

    return leave


@functools.cache
def _install() -> None:
    import_hooks.after_import("django.db.transaction", _hook_atomic)
    import_hooks.after_import("django.db.backends.base.base", _hook_connection)
    import_hooks.after_import("django.test.testcases", _hook_captures)


def in_test_alone(connection: Any) -> bool:
    """Whether a connection is in blocks of a test, and in no others."""
    blocks = connection.atomic_blocks
    return bool(blocks) and _is_of_test(blocks[-1])  # those of a test are entered before all others


def wrapped_connections() -> Iterator[Any]:
    """The connections of this thread that are in a test's transaction."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        blocks = connection.atomic_blocks
        if blocks and _is_of_test(blocks[0]):
            yield connection


def _is_of_test(block: Any) -> bool:
    return bool(block._from_testcase)  # noqa: SLF001 - Django has no other mark


# -- what is patched


def _hook_atomic(module: Any) -> None:
    atomic = module.Atomic
    if _is_hooked(atomic):
        return
    enter, leave = atomic.__enter__, atomic.__exit__

    @functools.wraps(enter)
    def entering(self: Any) -> Any:
        if (_asking or _kept) and not self._from_testcase:
            connection = module.get_connection(self.using)
            if in_test_alone(connection):
                _kept.setdefault(connection, _Kept()).start = len(connection.run_on_commit) if _asking else None
        return enter(self)

    @functools.wraps(leave)
    def leaving(self: Any, kind: Any, error: Any, traceback: Any) -> Any:
        if not _asking or self._from_testcase:
            return leave(self, kind, error, traceback)
        connection = module.get_connection(self.using)
        fails = kind is not None or connection.needs_rollback or connection.closed_in_transaction
        try:
            answer = leave(self, kind, error, traceback)
        except BaseException:
            _end(connection, fails=True)
            raise
        _end(connection, fails=fails)
        return answer

    atomic.__enter__, atomic.__exit__ = entering, leaving


def _hook_connection(module: Any) -> None:
    kind = module.BaseDatabaseWrapper
    if _is_hooked(kind):
        return
    original = kind.on_commit

    @functools.wraps(original)
    def on_commit(self: Any, func: Any, robust: bool = False) -> Any:
        if not _asking or not callable(func) or not in_test_alone(self) or _is_captured(self):
            return original(self, func, robust)
        return _call(func, robust)

    kind.on_commit = on_commit


def _hook_captures(module: Any) -> None:
    case = module.TestCase
    if _is_hooked(case):
        return
    original: Callable[..., Any] = case.captureOnCommitCallbacks.__func__

    @functools.wraps(original)
    @contextmanager
    def capture(cls: Any, *, using: str = "default", execute: bool = False) -> Generator[Any]:
        from django.db import connections

        connection = connections[using]
        kept = _kept.setdefault(connection, _Kept())
        before = list(connection.run_on_commit)
        kept.captures += 1
        try:
            with original(cls, using=using, execute=execute) as callbacks:
                yield callbacks
        finally:
            kept.captures -= 1
            kept.captured += [one for one in connection.run_on_commit if not _is_among(one, before)]

    case.captureOnCommitCallbacks = classmethod(capture)


def _is_hooked(kind: Any) -> bool:
    if _MARK in vars(kind):
        return True
    setattr(kind, _MARK, True)
    return False


# -- a commit


def _is_captured(connection: Any) -> bool:
    kept = _kept.get(connection)
    return kept is not None and kept.captures > 0


def _is_among(one: object, others: list[Any]) -> bool:
    return any(one is other for other in others)


def _end(connection: Any, *, fails: bool) -> None:
    """A block of the application is left: of the outermost one, run or drop what waits for the commit."""
    if not in_test_alone(connection):
        return
    kept = _kept.get(connection)
    if kept is None or kept.captures or kept.start is None:
        return
    waiting = connection.run_on_commit
    if not waiting:
        return
    own = [one for one in waiting[kept.start :] if not _is_among(one, kept.captured)]
    connection.run_on_commit = [one for one in waiting if not _is_among(one, own)]
    kept.captured = [one for one in kept.captured if _is_among(one, connection.run_on_commit)]
    kept.start = len(connection.run_on_commit)
    if not fails:
        for _, func, robust in own:
            _call(func, robust)


def _call(func: Callable[[], object], robust: bool) -> None:
    """Call what waits for a commit, as Django does."""
    if not robust:
        func()
        return
    try:
        func()
    except Exception as error:
        name = getattr(func, "__qualname__", func)
        _logger.error("Error calling %s in on_commit() (%s).", name, error, exc_info=True)  # noqa: G201 - as Django says it


_logger: Final = logging.getLogger("django.db.backends.base")
