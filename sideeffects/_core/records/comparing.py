"""Whether a call is as it was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sideeffects._core.calls.call import Call
from sideeffects._core.values import describe, redaction


def agrees(call: Call, expected: Mapping[str, Any], where: Callable[[Call], object] | None) -> bool:
    return all(same(call, name, value) for name, value in expected.items()) and (where is None or bool(where(call)))


def same(call: Call, name: str, value: Any) -> bool:
    """Compare with the true value; with what travelled, for calls of other processes.

    Raises:
        AssertionError: that value did not travel, since it is sensitive, so that nobody can tell.
    """
    __tracebackhide__ = True
    if not call.has_argument(name):
        return False
    actual = call.true_argument(name)
    if not call.is_foreign:
        return actual is value or bool(actual == value)
    if call.hides(name):
        raise AssertionError(
            f"{name} of {call.name} is sensitive and was redacted in the other process that called it, so nobody can "
            f"tell what it was: leave it out of this assertion"
        )
    return bool(actual == describe.jsonable(redaction.redact(value, call.sensitive_names)))
