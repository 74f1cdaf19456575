"""What a test that fails is told of its effects: what was not done, where, and how to let it be done."""

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
#: What gives something else than nothing without returning it.
_STREAMS: Final = ("generator", "async generator", "context manager", "async context manager")


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
    empty = list(dict.fromkeys(call.name for call in held if _gave_nothing(call)))
    lines = []
    if empty:
        were = "it was" if len(empty) == 1 else "they were"
        lines.append(
            f"{', '.join(empty)} gave None: {were} recorded, not executed, and no `returns` says what to give."
        )
    lines += [f"  {number}. {_line(call)}" for number, call in enumerate(held[:_MOST], 1)]
    if len(held) > _MOST:
        lines.append(f"  … and {len(held) - _MOST} more")
    executed = len(calls) - len(held)
    if executed:
        lines.append(f"  ({executed} more executed)")
    if recorded:
        lines.append(f"What was recorded did not happen. To let it happen: {spell('force_run', recorded)}")
    if empty:
        lines.append(f"To say what it gives: {spell('stub', empty)}, or returns=... where it is declared")
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
    what = f", gave {describe.describe(outcome.result, _SHOWN)}" if gave and outcome else ""
    # The test itself has set most of them going, which need not be said.
    by = f", by {call.origin}" if call.origin and not call.origin.startswith("test ") else ""
    return f"{line_of(call)}{what}{by}"


def _gave_nothing(call: Call) -> bool:
    """Whether a test got `None` from it where the function would have given something."""
    if call.outcome is not NO_RESULT or call.mode is not Mode.RECORD or call.is_async or call.effect.on_commit:
        return False
    return call.effect.kind not in _STREAMS and _returns_something(call)


def _returns_something(call: Call) -> bool:
    """Whether the function has a `return` with a value, or says so: what is written in C, say, may have one."""
    signature = call.effect.signature
    if signature is not None and signature.return_annotation is not signature.empty:
        return signature.return_annotation not in (None, "None")
    function: Any = function_of(call.name) if call.name in registry else None
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    if code is None:
        return True
    before: Any = None
    for step in dis.get_instructions(code):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return True
        if step.opname == "RETURN_VALUE" and not (before and before.opname == "LOAD_CONST" and before.argval is None):
            return True
        before = step
    return False
