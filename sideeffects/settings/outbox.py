"""How `SIDE_EFFECTS["OUTBOX"]` is spelt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sideeffects._core.policy.rules import NO_OUTBOX_RULES, OutboxRules
from sideeffects._core.values.close_names import did_you_mean

_ALIASES: Final = {"DATABASE": "DATABASES", "CACHE": "CACHES"}
_KEYS: Final = (*_ALIASES, "REFRESH")


def problems(value: Any) -> list[str]:
    """What is wrong with the setting, one sentence each."""
    if not isinstance(value, Mapping):
        return [f"must be a dict with any of {', '.join(_KEYS)}, not {value!r}"]
    found: list[str] = []
    for key, given in value.items():
        if key in _ALIASES:
            if not isinstance(given, str) or not given:
                found.append(f"{key} must be a key of {_ALIASES[key]}, not {given!r}")
        elif key != "REFRESH":
            hint = did_you_mean(key, _KEYS, f"; its keys are {', '.join(_KEYS)}", most=1)
            found.append(f"has no key {key!r}{hint}")
        elif type(given) not in (int, float) or not 0 < given < _DAY:
            found.append(f"REFRESH must be a number of seconds above 0, not {given!r}")
    return found


_DAY: Final = 24 * 60 * 60


def read(value: Any) -> OutboxRules:
    """What the setting says, once nothing is wrong with it."""
    if not value:
        return NO_OUTBOX_RULES
    return OutboxRules(
        database=value.get("DATABASE", NO_OUTBOX_RULES.database),
        cache=value.get("CACHE", NO_OUTBOX_RULES.cache),
        refresh=float(value.get("REFRESH", NO_OUTBOX_RULES.refresh)),
    )
