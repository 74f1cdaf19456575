"""`@fault_sweep(...)`: a test that is run again, with its set-up and fixtures, for each cell.

The decorated function only makes the run that it is passed. What runs tests sweeps: `pytest_hooks/faults.py` under
pytest, `cases.py` under unittest and Django's runner.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar, cast

from sideeffects._core.values.binding import lazy_signature
from sideeffects.testing.faults import invariants
from sideeffects.testing.faults.cases import call_case
from sideeffects.testing.faults.sweep import ATTRIBUTE, SweepOptions, Swept

F = TypeVar("F", bound=Callable[..., Any])


def decorate(function: F, options: SweepOptions, frame: FrameType) -> F:
    """Make a sweep of a test.

    Args:
        function: the test.
        options: what was asked for.
        frame: where it is decorated.

    Raises:
        TypeError: it is no function that could be a test.
        FaultSweepError: an invariant asks for what the test does not have.
    """
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"fault_sweep decorates test functions and methods, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"fault_sweep cannot decorate the generator {function.__qualname__}")
    signature = lazy_signature(function)
    invariants.check_names(options.invariants, signature.parameters)
    swept = Swept(options, str(getattr(function, "__qualname__", function)))

    def named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return signature.bind(*args, **kwargs).arguments

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def asynchronous(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            with swept.scenario() as run:
                with run.noting(), run.scenario():
                    await function(*args, **kwargs)
                await invariants.ask_async(options.invariants, named(args, kwargs), run)

        around: Callable[..., Any] = asynchronous
    else:

        @functools.wraps(function)
        def synchronous(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            with swept.scenario() as run:
                with run.noting(), run.scenario():
                    function(*args, **kwargs)
                invariants.ask(options.invariants, named(args, kwargs), run)

        around = synchronous
    setattr(around, ATTRIBUTE, swept)
    _reach_test_case(frame, swept.name)
    return cast(F, around)


def _reach_test_case(frame: FrameType, name: str) -> None:
    """Let the class in whose body the test stands sweep when it is called as a test case.

    A method alone cannot have itself run again with `setUp` and, in Django, in a transaction of its own: those are
    around it. `TestCase.__call__` is around these. Other classes are not called, and do not mind.
    """
    body = frame.f_locals
    if body is not frame.f_globals and body.get("__qualname__") == name.rpartition(".")[0]:
        body.setdefault("__call__", call_case)
