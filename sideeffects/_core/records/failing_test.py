"""What a failing test shows of its effects: what was not executed, where it was called, and how to allow it."""

from __future__ import annotations

import dis
from collections.abc import Callable, Sequence
from typing import Any, Final

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.outcome import NO_RESULT
from sideeffects._core.calls.registry import function_of, registry
from sideeffects._core.records.messages import line_of
from sideeffects._core.values import describe

TITLE: Final = "side effects of this test"
#: Calls that are listed.
_MOST: Final = 20
#: Characters of what a call gave.
_SHOWN: Final = 80
#: What gives items, and what gives something to a block.
_GENERATORS: Final = ("generator", "async generator")
_MANAGERS: Final = ("context manager", "async context manager")
_RETURN: Final = "RETURN_VALUE"
#: Stands between the value of an asynchronous generator and its `yield`.
_WRAPPERS: Final = ("ASYNC_GEN_WRAP", "CALL_INTRINSIC_1")
#: What gives `None`; the second from Python 3.15 on.
_CONSTANTS: Final = ("LOAD_CONST", "LOAD_COMMON_CONSTANT")


def words(calls: Sequence[Call], spell: Callable[[str, Sequence[str]], str]) -> list[str]:
    """The lines; none where every call has executed, so that nothing was left undone.

    Args:
        calls: the test's calls.
        spell: how these tests say `force_run`, `record` or `stub` of some effects.
    """
    held = [call for call in calls if call.mode is not Mode.EXECUTE]
    if not held:
        return []
    recorded = list(dict.fromkeys(call.name for call in held if call.mode is Mode.RECORD))
    refused = list(dict.fromkeys(call.name for call in held if call.mode is Mode.RAISE))
    empty: dict[str, str] = {call.name: gave for call in held if (gave := _gave_nothing(call))}
    lines = []
    for nothing in dict.fromkeys(empty.values()):
        names = [name for name, gave in empty.items() if gave == nothing]
        were, have = ("it was", "it has") if len(names) == 1 else ("they were", "they have")
        lines.append(f"{', '.join(names)} gave {nothing}: {were} recorded, not executed, and {have} no `returns`.")
    lines += [f"  {number}. {_line(call)}" for number, call in enumerate(held[:_MOST], 1)]
    if len(held) > _MOST:
        lines.append(f"  … and {len(held) - _MOST} more")
    executed = len(calls) - len(held)
    if executed:
        lines.append(f"  ({executed} more executed)")
    if recorded:
        lines.append(f"What was recorded did not happen. To let it happen: {spell('force_run', recorded)}")
    if empty:
        lines.append(f"To say what it gives: {spell('stub', list(empty))}, or returns=... where it is declared")
    if refused:
        lines.append(f"What was refused may be recorded instead: {spell('record', refused)}")
    return lines


def as_option(option: str, names: Sequence[str]) -> tuple[str, str]:
    """What a marker or a class attribute says of some effects: its name and its value."""
    if option == "stub":
        return option, "{" + ", ".join(f'"{name}": ...' for name in names) + "}"
    return option, "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _line(call: Call) -> str:
    outcome = call.outcome
    gave = outcome is not None and outcome.error is None and not call.is_async
    shown = _gave_nothing(call) or describe.describe(outcome.result if outcome else None, _SHOWN)
    what = f", gave {shown}" if gave else ""
    # Most of them come from the test itself, which goes without saying.
    by = f", by {call.origin}" if call.origin and not call.origin.startswith("test ") else ""
    return f"{line_of(call)}{what}{by}"


def _gave_nothing(call: Call) -> str:
    """`None`, or no items, where a test got that and the function would have given something; else empty."""
    if call.outcome is not NO_RESULT or call.mode is not Mode.RECORD or call.is_async or call.effect.on_commit:
        return ""
    kind = call.effect.kind
    if kind in _GENERATORS:
        return "no items"
    gives = _has(call, "YIELD_VALUE") if kind in _MANAGERS else _returns_something(call)
    return "None" if gives else ""


def _returns_something(call: Call) -> bool:
    """Whether the function has a `return` with a value, or says so: what is written in C, say, may have one."""
    signature = call.effect.signature
    if signature is not None and signature.return_annotation is not signature.empty:
        return signature.return_annotation not in (None, "None")
    return _has(call, _RETURN)


def _has(call: Call, step_with_value: str) -> bool:
    """Whether the function's code has such a step with another value than `None`."""
    function: Any = function_of(call.name) if call.name in registry else None
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        return True
    before: Any = None
    for step in dis.get_instructions(code):
        if step_with_value == _RETURN and step.opname == "RETURN_CONST" and step.argval is not None:
            return True
        if step.opname == step_with_value and not (before and before.opname in _CONSTANTS and before.argrepr == "None"):
            return True
        before = before if step.opname in _WRAPPERS else step
    return False
