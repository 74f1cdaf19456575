"""What is known of a probe before it runs: where it stands, and what its class asks for."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections

from sideeffects._core.policy.override_entry import OverrideRule
from sideeffects._core.verbs.overrides import rule_table

EVERY_DATABASE = "__all__"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a class asks for, checked.

    Attributes:
        tags: its tags.
        timeout: seconds for each of its probes; `None` for what the run says.
        databases: the aliases that it may use; `None` for all.
        force: the effects that it may execute.
        only_reads: whether it may call no effect that does more than read.
        read_only: whether it may not write.
        problem: what is wrong with the attributes; empty when nothing is. Such a probe is not run.
    """

    tags: tuple[str, ...] = ()
    timeout: float | None = None
    databases: frozenset[str] | None = None
    force: tuple[OverrideRule, ...] = ()
    only_reads: bool = False
    read_only: bool = False
    problem: str = ""


def traits_of(case: type[unittest.TestCase]) -> Traits:
    """What a class asks for; plain test cases may have the attributes of a `SmokeTest` as well."""
    try:
        return Traits(
            tags=_strings(case, "tags"),
            timeout=_timeout(case),
            databases=_databases(case),
            force=tuple(rule_table(getattr(case, "force_run", ()), (), (), {}, case.__qualname__)),
            only_reads=bool(getattr(case, "only_reads", False)),
            read_only=bool(getattr(case, "read_only", False)),
            problem=_awaited_by_nobody(case),
        )
    except (TypeError, ValueError) as error:
        return Traits(problem=f"{error}")


def _awaited_by_nobody(case: type[unittest.TestCase]) -> str:
    for name in ("setUp", "tearDown", "setUpClass", "tearDownClass"):
        if inspect.iscoroutinefunction(getattr(case, name)):
            return f"{name} of {case.__qualname__} is async, and nobody would await it. Make it a plain def"
    return ""


def _strings(case: type, name: str) -> tuple[str, ...]:
    value: Any = getattr(case, name, ())
    if isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{name} of {case.__qualname__} takes a list of strings, not {value!r}")
    return tuple(value)


def _timeout(case: type) -> float | None:
    value: Any = getattr(case, "timeout", None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"timeout of {case.__qualname__} takes a number of seconds above 0, not {value!r}")
    return float(value)


def _databases(case: type) -> frozenset[str] | None:
    if getattr(case, "databases", EVERY_DATABASE) == EVERY_DATABASE:
        return None
    wanted = frozenset(_strings(case, "databases"))
    unknown = sorted(wanted - set(connections))
    if unknown:
        raise ValueError(
            f"databases of {case.__qualname__} names {unknown[0]!r}; settings.DATABASES has {', '.join(connections)}"
        )
    return wanted


@dataclass(frozen=True, slots=True)
class Spec:
    """One probe that can be run.

    Attributes:
        id: `module.Class.method`.
        app: the label of the app in which it was found.
        app_name: that app's dotted name.
        case: its class.
        method: its method.
        make: makes the test case.
        traits: what its class asks for.
    """

    id: str
    app: str
    app_name: str
    case: type[unittest.TestCase]
    method: str
    make: Callable[[], unittest.TestCase]
    traits: Traits

    @property
    def module(self) -> str:
        """The module of its class."""
        return self.case.__module__

    @property
    def class_name(self) -> str:
        """The name of its class."""
        return self.case.__qualname__

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called by labels; a label may leave out parts at the end."""
        end = f"{self.class_name}.{self.method}"
        return self.id, f"{self.app}.{end}", f"{self.app_name}.{end}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A module of probes that cannot be imported.

    Attributes:
        app: the label of its app.
        app_name: that app's dotted name.
        module: its name.
        error: what importing raised.
    """

    app: str
    app_name: str
    module: str
    error: BaseException

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called by labels."""
        return self.module, self.app, self.app_name


@dataclass(frozen=True, slots=True)
class FoundProbes:
    """All that was found, or what of it was selected."""

    specs: tuple[Spec, ...] = ()
    broken: tuple[Broken, ...] = ()
