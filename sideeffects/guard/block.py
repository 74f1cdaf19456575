"""`with guard(...)`: the verb by which tests, and whatever else wants to know, change the guard's level."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar, cast

from sideeffects._core.policy.levels import LEVELS, OFF
from sideeffects._core.state.switches import Restorer
from sideeffects._core.state.work_origin import lineage
from sideeffects.guard import hook
from sideeffects.guard.findings import Finding
from sideeffects.guard.levels import Entry, enter
from sideeffects.settings.guard import host_problem

F = TypeVar("F", bound=Callable[..., Any])


class guard:  # noqa: N801 - a verb, as `record` and `force_run` are
    """Change, inside a `with` block or a decorated function, what happens to calls to the outside that are undeclared.

    In a test run the block holds for all threads, and for child processes that are started in it; elsewhere for its own
    context alone, with the tasks, threads and executor jobs that it starts.

    Args:
        level: `"off"`, `"warn"` (note them) or `"raise"` (refuse them, with `UndeclaredSideEffect`).
        allow_hosts: names, globs, addresses and networks that may be reached inside, besides those of the settings.
        allow_processes: programs that may be started inside, by name or path, globs too.
        context_only: hold for this context alone in a test run as well.

    Raises:
        ValueError: there is no such level, or a host is not valid.

    Example:
        >>> with guard("raise"):
        ...     urllib.request.urlopen("https://rates.example/GBP")
        Traceback (most recent call last):
        sideeffects.errors.UndeclaredSideEffect: undeclared outside call: rates.example ...
    """

    def __init__(
        self,
        level: str,
        *,
        allow_hosts: Iterable[str] = (),
        allow_processes: Iterable[str] = (),
        context_only: bool = False,
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f"{level!r} is no level of the guard; the levels are {', '.join(LEVELS)}")
        for option, value in (("allow_hosts", allow_hosts), ("allow_processes", allow_processes)):
            if isinstance(value, str):
                raise TypeError(f"{option} takes a list, not {value!r}")
        self._level = level
        self._hosts = tuple(allow_hosts)
        self._processes = tuple(allow_processes)
        for item in (*self._hosts, *self._processes):
            if not isinstance(item, str):
                raise TypeError(f"allow_hosts and allow_processes take texts, not {item!r}")
        for host in self._hosts:
            if wrong := host_problem(host):
                raise ValueError(f"allow_hosts: {host!r} {wrong}")
        self._context_only = context_only
        self._open: list[tuple[Entry, Restorer]] = []

    def __repr__(self) -> str:
        return f"<guard({self._level!r})>"

    def __enter__(self) -> list[Finding]:
        """Returns what is found inside, live: a list of findings."""
        opened = self._enter()
        opened[0].is_shown = True
        self._open.append(opened)
        return opened[0].found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        own = lineage.get().guards
        # Several threads may be in the same block object: each leaves what it has entered itself.
        here = [opened for opened in self._open if opened[0] in own] or self._open
        opened = here[-1]
        self._open.remove(opened)
        opened[1]()

    def __call__(self, decorated: F) -> F:
        """Decorate a function."""
        if isinstance(decorated, type) or not callable(decorated):
            raise TypeError(
                f"guard({self._level!r}) decorates functions, not {decorated!r}. For a class use "
                f'@pytest.mark.side_effects(guard="{self._level}"), or cls.enterClassContext(guard(...)) in setUpClass'
            )
        if inspect.isgeneratorfunction(decorated) or inspect.isasyncgenfunction(decorated):
            raise TypeError(f"guard({self._level!r}) cannot decorate a generator: use a with block inside it")
        if inspect.iscoroutinefunction(decorated):

            @functools.wraps(decorated)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                leave = self._enter()[1]
                try:
                    return await decorated(*args, **kwargs)
                finally:
                    leave()

            return cast(F, asynchronous)

        @functools.wraps(decorated)
        def synchronous(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            leave = self._enter()[1]
            try:
                return decorated(*args, **kwargs)
            finally:
                leave()

        return cast(F, synchronous)

    def _enter(self) -> tuple[Entry, Restorer]:
        entry = Entry(self._level, self._hosts, self._processes)
        return entry, _into_force(entry, context_only=self._context_only)


def enter_guard(level: str) -> Restorer:
    """Put a marker's level into force. Returns its restorer."""
    return _into_force(Entry(level), context_only=False)


def _into_force(entry: Entry, *, context_only: bool) -> Restorer:
    if entry.level != OFF:
        hook.install()
    return enter(entry, context_only=context_only)
