"""What markers and class attributes put into force: one level for each marker or class, the closest wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sideeffects._core.policy.levels import LEVELS
from sideeffects._core.policy.override_entry import OverrideRule
from sideeffects._core.values.close_names import close_to
from sideeffects._core.verbs.overrides import rule_table

MARKER: Final = "side_effects"
OPTIONS: Final = ("force_run", "record", "forbid", "stub")
USAGE: Final = (
    'side_effects(force_run=[...], record=[...], forbid=[...], stub={"name": value or exception}, guard="off", '
    "commits=True)"
)
GUARD: Final = "guard"
COMMITS: Final = "commits"
_ALL: Final = (*OPTIONS, GUARD, COMMITS)


class Level(NamedTuple):
    """The lines of one marker, or of one class's attributes, with where they stand."""

    rules: Sequence[OverrideRule]
    origin: str
    guard: str = ""
    commits: bool | None = None


@cache
def is_misspelt(name: str) -> bool:
    """Whether a marker of this name is likely to be meant for `side_effects`."""
    return name != MARKER and bool(close_to(name, (MARKER,), cutoff=0.8))


def level(options: Mapping[str, Any], label: str, origin: str) -> Level:
    """Read the options of a marker or class.

    Args:
        options: any of `force_run`, `record`, `forbid` (lists of effects), `stub` (effect to value or exception),
            `guard` (`"off"`, `"warn"` or `"raise"`) and `commits` (`True` or `False`).
        label: what they belong to, for messages and reasons.
        origin: where that stands.

    Raises:
        TypeError: there is no such option, or its value has the wrong type.
    """
    for option in options:
        if option not in _ALL:
            raise TypeError(f"{label} has no option {option!r}; it takes {', '.join(_ALL)}")
    guard = options.get(GUARD, "")
    if guard and guard not in LEVELS:
        raise TypeError(f"{GUARD} of {label} takes one of {', '.join(LEVELS)}, not {guard!r}")
    commits = options.get(COMMITS)
    if commits not in (None, True, False):
        raise TypeError(f"{COMMITS} of {label} is True or False, not {commits!r}")
    rules = rule_table(
        force_run=options.get("force_run", ()),
        record=options.get("record", ()),
        forbid=options.get("forbid", ()),
        stub=options.get("stub", {}),
        label=label,
    )
    return Level(rules, origin, guard, commits)
