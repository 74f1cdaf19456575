"""What tests of unittest and of Django's runner are told without asking: a note on what fails, and a last line.

`import sideeffects` installs this in a test run without pytest. No mixin is needed for it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sideeffects._core.calls.registry import registry
from sideeffects._core.records import failing_test
from sideeffects._core.records.tally import Tally
from sideeffects._core.state.state import state
from sideeffects.errors import LedgerError
from sideeffects.guard import call_sites

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True

#: Where the running test's calls begin in the ledger, kept by its result.
_START: Final = "_side_effects_start"
#: What the workers of a parallel run have counted.
_workers: Final = Tally()
_stubs_of_workers: Final[set[tuple[str, str]]] = set()
_running: list[int] = []


def follow_results(module: Any) -> None:
    """Let every kind of result, which extends `unittest.TestResult`, note what its tests have called."""
    kind = module.TestResult
    kind.startTest = _after(kind.startTest, _begin)
    kind.stopTest = _after(kind.stopTest, _count)
    for name in ("addError", "addFailure", "addSubTest"):
        setattr(kind, name, _before(getattr(kind, name), _note))
    kind.addSideEffects = _add_from_worker


def follow_runners(module: Any) -> None:
    """Print the last line after each `TextTestRunner.run` that is not inside another."""
    original = module.TextTestRunner.run

    @functools.wraps(original)
    def run(runner: Any, *args: Any, **kwargs: Any) -> Any:
        is_outermost = not _running and getattr(runner, "side_effects_test_run", True)
        if is_outermost:
            _check_names()
        _running.append(os.getpid())
        try:
            return original(runner, *args, **kwargs)
        finally:
            owner = _running.pop()
            if is_outermost and owner == os.getpid():
                _say(getattr(runner, "stream", sys.stderr))

    module.TextTestRunner.run = run


def _check_names() -> None:
    """Refuse a run whose settings name effects that do not exist: a misspelt name means nothing."""
    if "django.apps" in sys.modules:
        from sideeffects.project.test_start import unknown_names

        unknown = unknown_names()
        if unknown:
            from django.core.exceptions import ImproperlyConfigured

            raise ImproperlyConfigured("\n".join(unknown))


def _say(stream: Any) -> None:
    with contextlib.suppress(LedgerError):
        state.sync()
    tally = state.ledger.tally()
    tally.add(_workers.as_data())
    for line in filter(None, [*tally.unused({*state.stubs, *_stubs_of_workers}), tally.words(registry)]):
        stream.write(f"{line}\n")
    stream.flush()


def _after(original: Callable[..., Any], then: Callable[[Any], None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(result: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(result, *args, **kwargs)
        then(result)
        return answer

    return method


def _before(original: Callable[..., Any], first: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(result: Any, test: Any, *args: Any) -> Any:
        first(result, test, args[-1])
        return original(result, test, *args)

    return method


def _begin(result: Any) -> None:
    # Without a running test this only repeats what a worker has reported.
    if call_sites.running_case() is not None:
        setattr(result, _START, state.ledger.end)


def _note(result: Any, test: Any, failed: Any) -> None:
    """Write on the exception what the test has called: that travels from workers of a parallel run as well."""
    start = vars(result).get(_START)
    error = None if failed is None else failed[1]
    if start is None or not isinstance(error, BaseException):
        return
    with contextlib.suppress(LedgerError):  # what other processes have called cannot be read
        state.sync()
    calls = state.ledger.read(start)[0]
    lines = failing_test.words(calls, functools.partial(_spelt, test))
    note = "\n".join([f"{failing_test.TITLE}:", *lines])
    if lines and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _spelt(test: Any, option: str, names: Sequence[str]) -> str:
    """As a class attribute where the test has the mixin, else as a block."""
    from sideeffects.testing.mixin import SideEffectsMixin

    if isinstance(test, SideEffectsMixin):
        return f"{' = '.join(failing_test.as_option(option, names))} in the class"
    if option == "stub":
        return f"with {', '.join(f'stub({chr(34)}{name}{chr(34)}, returns=...)' for name in names)}: ..."
    return f"with {option}({failing_test.as_option(option, names)[1][1:-1]}): ..."


def _count(result: Any) -> None:
    """In a worker of a parallel run: tell the parent what this test has called, unless each call is reported there."""
    start = vars(result).pop(_START, None)
    kind = getattr(sys.modules.get("django.test.runner"), "RemoteTestResult", None)
    if start is None or kind is None or not isinstance(result, kind):
        return
    told: Any = result
    counted = state.ledger.end != start and state.children.reports is None
    if counted or state.stubs:
        tally = state.ledger.tally(start) if counted else Tally()
        data = {**tally.as_data(), "stubs": sorted(state.stubs)}
        told.events.append(("addSideEffects", told.test_index, data))


def _add_from_worker(result: Any, test: Any, data: Mapping[str, Any]) -> None:
    del result, test
    _workers.add(data)
    _stubs_of_workers.update(map(tuple, data["stubs"]))
