"""What `manage.py side_effects --check` finds, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any

from sideeffects._core.calls import registry
from sideeffects._core.policy.rules import Rules
from sideeffects.listing.rows import Row
from sideeffects.project import checks


def problems_of(rows: Iterable[Row]) -> Iterator[str]:
    """Effects without a docstring, and functions that are two effects."""
    names: dict[object, str] = {}
    for row in rows:
        name = row.effect.name
        if not row.effect.docstring.strip() and row.effect.line:
            yield f"{row.where}: {name} has no docstring"
        if row.decision is None:
            continue
        function = _identity(registry.function_of(name).__wrapped__)
        other = names.setdefault(function, name)
        if other != name:
            yield f"{row.where}: {other} and {name} are two effects of one function"


def _identity(function: Any) -> object:
    """What is the same for the same function, however it is wrapped."""
    while not isinstance(function, MethodType):
        if isinstance(function, classmethod | staticmethod):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return id(function)
    return id(function.__func__), id(function.__self__)


def problems_of_settings(rules: Rules) -> list[str]:
    """Policies that are no functions, and names that mean no effect."""
    return [problem.sentence for problem in [*checks.unusable_policies(rules), *checks.unknown_names(rules)]]
