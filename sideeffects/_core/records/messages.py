"""What a failing assertion says: what was expected, the nearest call, and calls as they are listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sideeffects._core.calls import registry
from sideeffects._core.calls.call import Call
from sideeffects._core.records.comparing import same
from sideeffects._core.values import describe, kinds, redaction
from sideeffects._core.values.sensitive_names import is_sensitive


def _shown(value: Any, names: frozenset[str]) -> str:
    return describe.describe(redaction.redact(value, names))


def shown_expectation(
    pattern: str, expected: Mapping[str, Any], where: Callable[[Call], object] | None, named: Sequence[Call]
) -> str:
    """What was expected, without what is secret in any of the calls that it is compared with."""
    effects = [*registry.registry.match(pattern), *(call.effect for call in named)]
    hidden = {name for effect in effects for name in effect.sensitive}
    names = frozenset(name for call in named for name in call.sensitive_names)
    parts = [
        f"{name}={kinds.REDACTED}"
        if name in hidden or is_sensitive(name, names) or any(call.hides(name) for call in named)
        else f"{name}={_shown(value, names)}"
        for name, value in expected.items()
    ]
    condition = f" where {getattr(where, '__name__', where)!s}" if where is not None else ""
    return f"{pattern}({', '.join(parts)}){condition}"


def lines_of_nearest(named: Sequence[Call], expected: Mapping[str, Any]) -> list[str]:
    """The call that agrees in the most arguments, those that differ marked."""
    __tracebackhide__ = True
    nearest = max(named, key=lambda call: sum(same(call, name, value) for name, value in expected.items()))
    lines = [f"nearest call: {line_of(nearest)}"]
    for name, value in expected.items():
        if same(nearest, name, value):
            continue
        hides = nearest.hides(name)
        wanted = kinds.REDACTED if hides else _shown(value, nearest.sensitive_names)
        lines.append(f"    {name}: expected {wanted}")
        if nearest.has_argument(name):
            actual = "another value" if hides else _shown(nearest.true_argument(name), nearest.sensitive_names)
            lines.append(f"    {' ' * len(name)}       got {actual}   <--")
        else:
            lines.append(f"    {' ' * len(name)}       got no such argument   <--")
    return lines


def line_of(call: Call) -> str:
    """A call as messages list it."""
    # `items[2].user` is a path into `items`.
    referred = {path.partition(".")[0].partition("[")[0] for path in call.by_reference}
    shown = ", ".join(
        f"{name}={describe.describe(value, 200)}" + (" (by reference)" if name in referred else "")
        for name, value in call.arguments.items()
    )
    error = call.outcome.error if call.outcome is not None else None
    what = call.mode.name if error is None else f"{call.mode.name}, {type(error).__name__}"
    return f"{call.name}({shown}{call.details_shown})  [{what}]  {call.caller}"
