"""dj-saferunner's names, for code and tests that were written for it: only the imports change.

A run list that was recorded is read back from our own ledger: the one that processes share, if
`SIDE_EFFECTS["LEDGER"]` names one. Otherwise nothing is kept outside a test run, and so nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.records.messages import line_of
from sideeffects._core.state.state import state
from sideeffects._core.values import describe, kinds
from sideeffects._core.values.callers import caller
from sideeffects.errors import LedgerError
from sideeffects.runs.run_list import RunResult, Task, run_list

__all__ = [
    "assert_call_count",
    "clear_run_cache",
    "count_task_calls",
    "get_all_task_calls",
    "get_process_run",
    "safely_run_processes",
]


def safely_run_processes(run_id: object, task_list: Iterable[Task] = ()) -> RunResult:
    """Run a list of tasks; see `sideeffects.run_side_effects`.

    Args:
        run_id: what this list is called; a value that is no text counts as its `str()`.
        task_list: `(callable, kwargs)` or `(callable, kwargs, is_async)`.

    Returns:
        what came of it; it unpacks as `(results, mocked)`, where `mocked` has the names of the recorded tasks.

    Raises:
        MalformedTask, AsyncNotAllowed, SideEffectBlocked, BaseException: as `run_side_effects`.

    Example:
        >>> clear_run_cache()
        >>> results, mocked = safely_run_processes("order-4711", [(send_sms, {"to": "+44", "body": "Thank you!"})])
        >>> mocked
        ['sms.send']
    """
    __tracebackhide__ = True
    return run_list(str(run_id), task_list, None, caller(1))


def clear_run_cache() -> None:
    """Forget the runs so far, for the functions of this module. Nothing else is forgotten.

    Records in a ledger that processes share are removed, those of other processes too. No other key of a cache is
    touched.

    Example:
        >>> clear_run_cache()
        >>> get_process_run("order-4711")
        []
    """
    shared = state.rules_source().shared
    state.sync()
    _cleared[0] = state.ledger.end
    if shared is not None:
        shared.clear()


#: The position in the ledger up to which this module has forgotten everything.
_cleared: Final = [0]


def get_process_run(run_id: object) -> list[dict[str, Any]]:
    """The tasks that were recorded instead of run, in order, since `clear_run_cache()`; those that ran are not here.

    Args:
        run_id: the run list.

    Returns:
        a dict for each: `task_name`, `task_args` (as dj-saferunner wrote them: `"OrderedDict([('msg', 'hi')])"`) and
        `is_async`; and `arguments` (by parameter, defaults applied), `kwargs` (as given), `mode`, `reason`, `caller`
        (file and line), `run_id`, `pid` and `at` (UTC). Sensitive values read `[redacted]`.

    Raises:
        LedgerError: records of a ledger that processes share were evicted or torn, so the run may have been longer.

    Example:
        >>> clear_run_cache()
        >>> _ = safely_run_processes("order-4711", [(send_sms, {"to": "+44", "body": "Thank you!"})])
        >>> get_process_run("order-4711")[0]["arguments"]
        {'to': '+44', 'body': 'Thank you!'}
    """
    calls, missing = _calls_of(str(run_id))
    if missing and state.rules_source().shared is not None:
        raise LedgerError(f"run list {str(run_id)!r}", missing)
    return [_told(call) for call in calls]


def get_all_task_calls(run_id: object, task_name: str) -> list[dict[str, Any]]:
    """Those of `get_process_run(run_id)` that have this `task_name`.

    Example:
        >>> clear_run_cache()
        >>> _ = safely_run_processes("order-4711", [(send_sms, {"to": "+44", "body": "Thank you!"})])
        >>> len(get_all_task_calls("order-4711", "sms.send"))
        1
    """
    return [told for told in get_process_run(run_id) if told["task_name"] == task_name]


def assert_call_count(run_id: object, expected_call_count: int) -> None:
    """Assert how many tasks of a run list were recorded.

    Raises:
        AssertionError: there were more or fewer, or some are no longer kept.

    Example:
        >>> clear_run_cache()
        >>> _ = safely_run_processes("order-4711", [(send_sms, {"to": "+44", "body": "Thank you!"})])
        >>> assert_call_count("order-4711", 1)
    """
    __tracebackhide__ = True
    calls = _all_calls_of(run_id)
    if len(calls) != expected_call_count:
        _fail(f"run list {str(run_id)!r}: expected {expected_call_count} recorded tasks, got {len(calls)}", calls)


def count_task_calls(run_id: object, task_name: str, expected_count: int) -> None:
    """Assert how often one task of a run list was recorded.

    Raises:
        AssertionError: there were more or fewer, or some are no longer kept.

    Example:
        >>> clear_run_cache()
        >>> _ = safely_run_processes("order-4711", [(send_sms, {"to": "+44", "body": "Thank you!"})])
        >>> count_task_calls("order-4711", "sms.send", 1)
    """
    __tracebackhide__ = True
    calls = _all_calls_of(run_id)
    count = sum(call.name == task_name for call in calls)
    if count != expected_count:
        _fail(f"run list {str(run_id)!r}: expected {task_name} {expected_count} times, got {count}", calls)


# -- inside


def _calls_of(run_id: str) -> tuple[list[Call], str]:
    """The recorded calls of a run list, and what is missing of them, in words. The one place that reads the ledger."""
    shared = state.rules_source().shared
    state.sync()
    calls, is_all = state.ledger.of_run(run_id, _cleared[0])
    missing = "" if is_all else _KEEP_MORE
    if shared is not None:
        # What this process has in memory has its true values; the order is that of the shared ledger.
        known = {call.id: call for call in calls}
        calls, missing = shared.of_run(run_id)
        calls = [known.pop(call.id, call) for call in calls]
        calls += known.values()
    recorded = [call for call in calls if call.mode is Mode.RECORD]
    for call in recorded:
        call.mark_read()
    return recorded, missing


_KEEP_MORE: Final = 'call clear_run_cache() when a test begins, or raise SIDE_EFFECTS["LEDGER"]["MAX_CALLS"]'


def _all_calls_of(run_id: object) -> list[Call]:
    __tracebackhide__ = True
    calls, missing = _calls_of(str(run_id))
    if missing:
        raise AssertionError(
            f"calls of run list {str(run_id)!r} were dropped from the ledger, so nobody can tell: {missing}"
        )
    return calls


def _fail(what: str, calls: list[Call]) -> None:
    __tracebackhide__ = True
    listing = [f"  {number}. {line_of(call)}" for number, call in enumerate(calls[:_SHOWN], 1)]
    if len(calls) > _SHOWN:
        listing.append(f"  … and {len(calls) - _SHOWN} more")
    raise AssertionError("\n".join([what, *(["recorded:", *listing] if calls else ["nothing was recorded."])]))


_SHOWN: Final = 50


def _told(call: Call) -> dict[str, Any]:
    return {
        "task_name": call.name,
        "task_args": _as_ordered_dict(call),
        "is_async": call.is_async,
        "arguments": dict(call.arguments),
        "kwargs": dict(call.kwargs),
        "mode": call.mode.value,
        "reason": call.reason,
        "caller": call.caller,
        "run_id": call.run_id,
        "pid": call.pid,
        "at": call.at,
    }


def _as_ordered_dict(call: Call) -> str:
    """What `str(OrderedDict(kwargs))` was before Python 3.12 wrote it in another way."""
    pairs = ", ".join(f"({name!r}, {_written(value)})" for name, value in call.kwargs.items())
    return f"OrderedDict([{pairs}])" if pairs else "OrderedDict()"


def _written(value: Any) -> str:
    """The `repr` of what is plain data through and through; others are described, since some run queries for theirs."""
    return repr(value) if _is_plain(value) else describe.describe(value)


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        return all(_is_plain(key) and _is_plain(child) for key, child in value.items())
    if kind in (list, tuple, set, frozenset):
        return all(_is_plain(item) for item in value)
    return kind in kinds.SCALARS
