"""Which effects the command lists: by name, app, tag, owner and module. A value that means nothing is an error."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from django.apps import apps

from sideeffects._core.calls import registry
from sideeffects._core.values.close_names import did_you_mean
from sideeffects.errors import UnknownSideEffect
from sideeffects.listing.rows import Row


class UnknownValue(ValueError):
    """A name, glob or value by which nothing can be selected."""


#: The options, each with what a row has of it, and what is said of a value that no row has.
_FILTERS: Final[dict[str, tuple[Callable[[Row], Collection[str]], str]]] = {
    "app": (lambda row: {row.app}, "no installed app has the label {!r}"),
    "tag": (lambda row: row.effect.tags, "no side effect has the tag {!r}"),
    "owner": (lambda row: {row.effect.owner}, "no side effect has the owner {!r}"),
    "module": (lambda row: with_those_above(row.module), "no side effect is declared in {!r} or below it"),
}


def select(rows: list[Row], patterns: Sequence[str], options: Mapping[str, Any]) -> list[Row]:
    """The rows that were asked for.

    Raises:
        UnknownValue: something that was asked for means nothing.
    """
    names = [row.effect.name for row in rows]
    for pattern in patterns:
        if pattern not in (registry.EVERYTHING, "*") and not any(registry.matches(pattern, name) for name in names):
            raise UnknownValue(str(UnknownSideEffect(pattern, registry.registry.close_to(pattern, names))))
    selected = rows
    if patterns:
        selected = [row for row in rows if any(registry.matches(pattern, row.effect.name) for pattern in patterns)]
    for option, (of, unknown) in _FILTERS.items():
        wanted: list[str] = options[option] or []
        if wanted:
            known = {value for row in rows for value in of(row) if value}
            check_values(wanted, known | labels() if option == "app" else known, unknown)
            selected = [row for row in selected if not set(of(row)).isdisjoint(wanted)]
    return selected


def check_values(wanted: Sequence[str], known: Collection[str], unknown: str) -> None:
    """Refuse a value that nothing has.

    Args:
        wanted: the values.
        known: those that there are.
        unknown: what is said of another one, with `{!r}` in its place.

    Raises:
        UnknownValue: there is one.
    """
    for value in wanted:
        if value not in known:
            raise UnknownValue(f"{unknown.format(value)}{did_you_mean(value, sorted(known), '.', is_sentence=True)}")


def labels() -> set[str]:
    """The labels of the installed apps."""
    return {app.label for app in apps.get_app_configs()}


def app_of(module: str) -> str:
    """The label of the app that a module belongs to, empty when it belongs to none."""
    app = apps.get_containing_app_config(module)
    return "" if app is None else app.label


def with_those_above(module: str) -> set[str]:
    """A module's name, and those of the packages that it lies in."""
    parts = module.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
