"""What stands in `Task.func`: the function, with a wrapper that takes off and obeys what travels.

Most workers run a task by `Task.call`; some take its `func` and call that. Both lead through here, with tasks that were
made before this package was imported, and with the copies that `.using()` makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import wrapt

_FunctionWrapper: Any = wrapt.FunctionWrapper  # its type says nothing of what it wraps


class PassingOn(_FunctionWrapper):  # type: ignore[misc]
    """A wrapper of ours that hands the arguments on as they are: what it is around is directly below it."""

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __reduce__(self) -> Any:
        # What unpickles it puts the wrapper around it again.
        return _itself, (self.__wrapped__,)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


def _itself(function: Any) -> Any:
    return function


class TaskFunction:
    """The attribute `func` of a class of tasks.

    Args:
        slot: the attribute as it was, which keeps the function.
        runs: what runs a function as its task, given the function and the arguments.
        standing_in: the effect of a function that was declared by way of another copy of the task, or the function.
    """

    def __init__(self, slot: Any, runs: Callable[..., Any], standing_in: Callable[[Any], Any]) -> None:
        self._slot = slot
        self._runs = runs
        self._standing_in = standing_in

    def __get__(self, task: Any, owner: type[Any] | None = None) -> Any:
        if task is None:
            return self
        held = self._slot.__get__(task, owner)
        function = held.__wrapped__ if type(held) is PassingOn else held
        effect = self._standing_in(function)
        if type(held) is PassingOn and effect is function:
            return held
        # In place, though a task is frozen: backends compare functions by identity.
        self.__set__(task, effect)
        return self._slot.__get__(task, owner)

    def __set__(self, task: Any, function: Any) -> None:
        if type(function) is not PassingOn and inspect.isroutine(function):
            function = PassingOn(function, self._run)
        self._slot.__set__(task, function)

    def _run(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del instance
        __tracebackhide__ = True
        return self._runs(wrapped, args, kwargs)
