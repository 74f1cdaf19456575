"""How `SIDE_EFFECTS["GUARD"]` is spelt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from sideeffects._core.policy.levels import LEVELS
from sideeffects._core.policy.rules import GuardRules
from sideeffects._core.values.close_names import did_you_mean

_LISTS: Final = {"ALLOW_HOSTS": "hosts", "ALLOW_PROCESSES": "processes", "IGNORE": "ignore"}
_KEYS: Final = ("LEVEL", *_LISTS, "BASELINE")
_SHAPE: Final = f"must be 'off', 'warn' or 'raise', or a dict with any of {', '.join(_KEYS)}, not {{!r}}"


def problems(value: Any) -> list[str]:
    """What is wrong with the setting, one sentence each."""
    if isinstance(value, str):
        return [] if value in LEVELS else [_no_level(value)]
    if not isinstance(value, Mapping):
        return [_SHAPE.format(value)]
    found: list[str] = []
    for key, given in value.items():
        if key == "LEVEL":
            if given is not None and given not in LEVELS:
                found.append(_no_level(given))
        elif key == "BASELINE":
            if given is not None and not (isinstance(given, str | os.PathLike) and os.fspath(given)):
                found.append(f"BASELINE must be the path of a file, not {given!r}")
        elif key not in _LISTS:
            found.append(f"has no key {key!r}; its keys are {', '.join(_KEYS)}")
        elif isinstance(given, str) or not isinstance(given, list | tuple | set | frozenset):
            found.append(f"{key} must be a list, not {given!r}")
        else:
            found += [
                f"{key}: {item!r} must be a non-empty string"
                for item in given
                if not isinstance(item, str) or not item.strip()
            ]
            if key == "ALLOW_HOSTS":
                found += [
                    f"ALLOW_HOSTS: {item!r} {wrong}"
                    for item in given
                    if isinstance(item, str) and (wrong := host_problem(item))
                ]
    return found


def host_problem(text: str) -> str:
    """What is wrong with a host of ALLOW_HOSTS; empty when nothing is."""
    if "://" in text:
        return "is a URL; write the host alone, or host:port"
    if "/" not in text:
        return ""
    import ipaddress  # for those who allow networks

    host, _, port = text.strip().rpartition(":")
    try:
        ipaddress.ip_network(host.strip("[]") if port.isdigit() and "/" in host else text.strip(), strict=False)
    except ValueError:
        return "is no network; write one such as 10.0.0.0/8, or a host without a path"
    return ""


def _no_level(value: object) -> str:
    return f"{value!r} is no level; the levels are {', '.join(LEVELS)}{did_you_mean(value, LEVELS, most=1)}"


def read(value: Any) -> GuardRules:
    """The setting, which `problems` has nothing against."""
    if isinstance(value, str):
        return GuardRules(level=value)
    lists = {field: tuple(value.get(key) or ()) for key, field in _LISTS.items()}
    return GuardRules(level=value.get("LEVEL") or "", baseline=os.fspath(value.get("BASELINE") or ""), **lists)
