"""How a race is to be held, checked once; and in which environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from sideeffects._core.calls.known import check_known, pattern_of
from sideeffects.testing.exploring.amount import bounded
from sideeffects.testing.exploring.isolation import checked as checked_isolation

TIMEOUT_VARIABLE: Final = "DJANGO_CONCURRENT_TESTS_TIMEOUT"
_DEFAULT_TIMEOUT: Final = 30.0

#: A function, or where it is, with its keyword arguments.
RacerCall = tuple[Callable[..., Any] | str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RaceOptions:
    """What `Race` was given; see there."""

    timeout: float
    using: Literal["processes", "threads"]
    databases: frozenset[str] | None
    repeat: int
    seed: int | None
    setup: Callable[[], Any] | None
    check: Callable[[Any], Any] | None
    meet_at: str | None
    patience: float
    switch_interval: float | None
    explore: bool
    max_schedules: int
    preemptions: int | None
    schedule: str | None
    isolation: tuple[str, ...]


def checked(**given: Any) -> RaceOptions:
    """The options.

    Raises:
        TypeError: one of them is of the wrong kind.
        ValueError: one of them has an impossible value.
    """
    explore = _is_explored(given)
    using: Any = given["using"] or ("threads" if explore else "processes")
    if using not in ("processes", "threads"):
        raise ValueError(f'using is "processes" or "threads", not {given["using"]!r}')
    if given["switch_interval"] is not None and using != "threads":
        raise ValueError('switch_interval is for Race(using="threads"): processes are not switched by Python')
    timeout = default_timeout() if given["timeout"] is None else given["timeout"]
    for name, value in (("timeout", timeout), ("patience", given["patience"])):
        if not _is_number(value) or not value > 0:
            raise ValueError(f"{name} is a number of seconds above 0, not {value!r}")
    interval = given["switch_interval"]
    if interval is not None and (not _is_number(interval) or not interval > 0):
        raise ValueError(f"switch_interval is a number of seconds above 0, not {interval!r}")
    if not isinstance(given["repeat"], int) or given["repeat"] < 1:
        raise ValueError(f"repeat is a number of runs, 1 or more, not {given['repeat']!r}")
    if given["seed"] is not None and not isinstance(given["seed"], int):
        raise TypeError(f"seed is a whole number, not {given['seed']!r}")
    databases = given["databases"]
    if isinstance(databases, str):
        raise TypeError(f"databases is a list of aliases: [{databases!r}]")
    for name in ("setup", "check"):
        if given[name] is not None and not callable(given[name]):
            raise TypeError(f"{name} is a function, not {given[name]!r}")
    meet_at = None if given["meet_at"] is None else pattern_of(given["meet_at"])
    return RaceOptions(
        timeout=float(timeout),
        using=using,
        databases=None if databases is None else frozenset(cast(Collection[str], databases)),
        repeat=given["repeat"],
        seed=given["seed"],
        setup=given["setup"],
        check=given["check"],
        meet_at=meet_at,
        patience=float(given["patience"]),
        switch_interval=interval,
        explore=explore,
        max_schedules=given["max_schedules"],
        preemptions=bounded(given["preemptions"]) if explore else None,
        schedule=given["schedule"],
        isolation=checked_isolation(given["isolation"]),
    )


#: What is about luck, with what says that it was not given: exploring leaves nothing to it.
_OF_LUCK: Final = {"repeat": 1, "seed": None, "meet_at": None, "switch_interval": None}
#: What is about exploring.
_OF_EXPLORING: Final = {"max_schedules": 5000, "preemptions": None, "isolation": None}


def _is_explored(given: Mapping[str, Any]) -> bool:
    """Whether the race is to be explored.

    Raises:
        TypeError: an option is of the wrong kind.
        ValueError: options do not go together, or have impossible values.
    """
    schedule = given["schedule"]
    explore = bool(given["explore"]) or schedule is not None
    odd = [name for name, default in (_OF_LUCK if explore else _OF_EXPLORING).items() if given[name] != default]
    if odd and explore:
        raise ValueError(f"an explored race leaves nothing to luck: {odd[0]} is for races that are not explored")
    if odd:
        raise ValueError(f"{odd[0]} is for Race(explore=True)")
    if explore and given["using"] == "processes":
        raise ValueError(
            'processes cannot be explored: racers have to be stopped before each step. Leave using="processes" out'
        )
    if type(given["max_schedules"]) is not int or given["max_schedules"] < 1:
        raise ValueError(f"max_schedules is a number of orders, 1 or more, not {given['max_schedules']!r}")
    bound = given["preemptions"]
    if bound is not None and (type(bound) is not int or bound < 0):
        raise ValueError(f"preemptions is a number of switches, 0 or more, not {bound!r}")
    if schedule is not None and not isinstance(schedule, str):
        raise TypeError(f"schedule is a string of racers, '1' for the first, such as '112212', not {schedule!r}")
    if schedule is not None and not set(schedule) <= set("123456789"):
        raise ValueError(f"schedule is a string of racers, '1' for the first, such as '112212', not {schedule!r}")
    return explore


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def default_timeout() -> float:
    """What `DJANGO_CONCURRENT_TESTS_TIMEOUT` says, else 30 seconds."""
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    if not text:
        return _DEFAULT_TIMEOUT
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"the environment variable {TIMEOUT_VARIABLE} is a number of seconds, not {text!r}") from None


def checked_calls(calls: Any) -> list[RacerCall]:
    """The calls of a race.

    Raises:
        TypeError: one of them is no function, or its arguments are no mapping of names.
        ValueError: a function given as text is not written as `package.module:name`.
    """
    found: list[RacerCall] = []
    for place, call in enumerate(calls):
        if not isinstance(call, (tuple, list)) or len(call) != 2:  # noqa: PLR2004 - a pair
            raise TypeError(f"call {place} is a pair of a function and its keyword arguments, not {call!r}")
        function, kwargs = call
        if isinstance(function, str):
            module, separator, name = function.partition(":")
            if not separator or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
                raise ValueError(f"{function!r} is no path of a function: write 'package.module:name', with a colon")
        elif not callable(function):
            raise TypeError(f"call {place} is of {function!r}, which is no function")
        if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
            raise TypeError(f"the arguments of call {place} are a mapping of names to values, not {kwargs!r}")
        # The very same pair again stays the same: it is pickled once.
        found.append(cast(RacerCall, call))
    return found


def check_meeting(options: RaceOptions) -> None:
    """Refuse to meet at an effect that nobody has declared.

    Raises:
        UnknownSideEffect: with close matches.
    """
    if options.meet_at is not None:
        check_known(options.meet_at)


@contextmanager
def override_environment(**variables: str | None) -> Generator[None]:
    """Set environment variables inside the block, for this process and for racers; restore them whatever happens.

    Args:
        **variables: values by name; `None` takes a variable away.

    Raises:
        TypeError: a value is no string; nothing was set.

    Example:
        >>> with override_environment(SHOP_STAGE="staging"):
        ...     os.environ["SHOP_STAGE"]
        'staging'
    """
    for name, value in variables.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"the environment variable {name} takes a string, not {value!r}: write {str(value)!r}")
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
