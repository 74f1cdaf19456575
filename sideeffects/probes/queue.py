"""What runs, in which order: probes, with what surrounds them (`setUpModule`, `setUpClass` and so on)."""

from __future__ import annotations

import collections
import sys
import unittest
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sideeffects.probes.results import ProbeOutcome, ProbeResult
from sideeffects.probes.specs import Spec, Traits


class Unit:
    """One piece of work for one thread: a probe, or a fixture of a class or module.

    Attributes:
        known: its result, as far as it is known before it has run.
        traits: what its class asks for.
        spec: the probe; `None` for a fixture.
        work: the fixture; `None` for a probe.
        group: the group that it belongs to.
    """

    __slots__ = ("_known", "case", "group", "is_down", "method", "position", "spec", "traits", "work")

    def __init__(self, position: tuple[int, int, int], group: Group | None, traits: Traits) -> None:
        self.position = position
        self.group = group
        self.traits = traits
        self.spec: Spec | None = None
        self.work: Callable[[], object] | None = None
        self.is_down = False
        self._known: ProbeResult | None = None

    @classmethod
    def of_probe(cls, spec: Spec, position: int, group: Group | None) -> Unit:
        """A probe."""
        unit = cls((position, 0, 0), group, spec.traits)
        unit.spec = spec
        return unit

    @classmethod
    def of_fixture(cls, group: Group, work: Callable[[], object], name: str, *, is_down: bool) -> Unit:
        """What stands before or after the members of a group."""
        edge = group.last if is_down else group.first
        depth = group.depth if not is_down else -group.depth
        unit = cls((edge, 1 if is_down else -1, depth), group, group.traits)
        unit.work = work
        unit.is_down = is_down
        parts = [group.module, group.class_name, name]
        unit._known = ProbeResult(
            ".".join(part for part in parts if part), group.app, group.module, group.class_name, "", ProbeOutcome.PASSED
        )
        return unit

    @property
    def known(self) -> ProbeResult:
        """What its result says of where it stands."""
        if self._known is None:
            spec = self.spec
            assert spec is not None  # noqa: S101 - a unit is a probe or a fixture
            self._known = ProbeResult(
                spec.id, spec.app, spec.module, spec.class_name, spec.method, ProbeOutcome.PASSED, tags=spec.traits.tags
            )
        return self._known


class Group:
    """Probes that share a fixture: those of a class, or the classes of a module."""

    def __init__(self, parent: Group | None, spec: Spec, position: int, *, is_module: bool) -> None:
        self.parent = parent
        self.module = spec.module
        self.class_name = "" if is_module else spec.class_name
        self.app = spec.app
        self.traits = Traits() if is_module else spec.traits
        self.depth = 0 if is_module else 1
        self.first = self.last = position
        self.members: list[Unit] = []
        self.left = 0
        self.is_up = False
        self.up: Callable[[], object] | None = None
        self.down: Callable[[], object] | None = None


class Queue:
    """The work of one run. Its callers hold the run's lock.

    Args:
        specs: the probes, in their order.
    """

    def __init__(self, specs: Iterable[Spec]) -> None:
        self._pending: collections.deque[Unit] = collections.deque()
        self.total = 0
        groups: dict[object, Group | None] = {}
        for position, spec in enumerate(specs):
            self.total += 1
            group = self._group(groups, spec, position)
            unit = Unit.of_probe(spec, position, group)
            if group is None:
                self._pending.append(unit)
            else:
                self._join(group, unit, position)

    def __len__(self) -> int:
        return len(self._pending)

    def take(self) -> Unit | None:
        """The next piece of work that can be done now."""
        return self._pending.popleft() if self._pending else None

    def done(self, unit: Unit, result: ProbeResult) -> list[ProbeResult]:
        """Note that a unit is over, and bring forth what waited for it.

        Returns:
            results of what is not run because of it.
        """
        group = unit.group
        if group is None:
            return []
        if unit.spec is not None:
            self._leave(group)
            return []
        if unit.is_down:
            self._leave(group.parent)
            return []
        if result.outcome is ProbeOutcome.PASSED:
            group.is_up = True
            self._pending.extendleft(reversed(group.members))
            return []
        # As unittest has it: the fixture's error stands for its probes, and a skip skips them all.
        skipped = list(self._skipped(group, result)) if result.outcome is ProbeOutcome.SKIPPED else []
        self._leave(group.parent)
        return skipped

    def stop(self) -> None:
        """Begin nothing more but the end of what has begun."""
        waiting, self._pending = self._pending, collections.deque()
        for unit in waiting:
            if unit.is_down:
                self._pending.append(unit)
            elif unit.group is not None:
                if unit.spec is None:  # its group has not begun
                    self._leave(unit.group.parent)
                else:
                    self._leave(unit.group)

    def _skipped(self, group: Group, result: ProbeResult) -> Iterable[ProbeResult]:
        for unit in group.members:
            if unit.spec is None and unit.group is not None:
                yield from self._skipped(unit.group, result)
            else:
                yield replace(unit.known, outcome=ProbeOutcome.SKIPPED, message=result.message)

    def _leave(self, group: Group | None) -> None:
        if group is None:
            return
        group.left -= 1
        if group.left == 0:
            if group.is_up and group.down is not None:
                name = "tearDownClass" if group.class_name else "tearDownModule"
                self._pending.appendleft(Unit.of_fixture(group, group.down, name, is_down=True))
            else:
                self._leave(group.parent)

    # -- groups

    def _group(self, groups: dict[object, Group | None], spec: Spec, position: int) -> Group | None:
        module = self._known_group(groups, spec.module, None, spec, position, _module_fixtures)
        return self._known_group(groups, spec.case, module, spec, position, _class_fixtures)

    def _known_group(
        self,
        groups: dict[object, Group | None],
        key: object,
        parent: Group | None,
        spec: Spec,
        position: int,
        fixtures: Callable[[Spec], Sequence[Callable[[], object]]],
    ) -> Group | None:
        if key not in groups:
            found = fixtures(spec)
            group = None
            if found:
                is_module = isinstance(key, str)
                group = Group(parent, spec, position, is_module=is_module)
                group.up, group.down = found
                unit = Unit.of_fixture(group, group.up, "setUpModule" if is_module else "setUpClass", is_down=False)
                if parent is None:
                    self._pending.append(unit)
                else:
                    self._join(parent, unit, position)
            groups[key] = group if found else parent
        return groups[key]

    def _join(self, group: Group, unit: Unit, position: int) -> None:
        group.members.append(unit)
        group.left += 1
        outer: Group | None = group
        while outer is not None:
            outer.last = position
            outer = outer.parent


_CLASS_FIXTURES = ("setUpClass", "tearDownClass")


def _class_fixtures(spec: Spec) -> Sequence[Callable[[], object]]:
    case: Any = spec.case
    plain = all(getattr(case, name).__func__ is getattr(unittest.TestCase, name).__func__ for name in _CLASS_FIXTURES)
    if plain or getattr(case, "__unittest_skip__", False):
        return ()

    def up() -> None:
        try:
            case.setUpClass()
        except BaseException:
            case.doClassCleanups()
            raise

    def down() -> None:
        try:
            case.tearDownClass()
        finally:
            _clean_up(case)

    return up, down


def _clean_up(case: Any) -> None:
    case.doClassCleanups()
    if case.tearDown_exceptions:
        raise case.tearDown_exceptions[0][1]


def _module_fixtures(spec: Spec) -> Sequence[Callable[[], object]]:
    module = sys.modules.get(spec.module)
    up, down = (getattr(module, name, None) for name in ("setUpModule", "tearDownModule"))
    if up is None and down is None:
        return ()
    return up or _nothing, down or _nothing


def _nothing() -> None:
    """A module has one of the two."""
