"""`SideEffectsMixin`: the calls of a test, its four class attributes, and what it has to answer for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sideeffects._reading import Calls
from sideeffects.testing._levels import OPTIONS, Level, level
from sideeffects.testing._watch import Watch, collect_own_children, files_of_class

if TYPE_CHECKING:
    from unittest import TestCase as Case
else:  # it stands before the test case among the bases, and unittest need not be imported for it
    Case = object

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True


class SideEffectsMixin(Case):
    """For `unittest` and Django test cases: `class OrderTests(SideEffectsMixin, TestCase)`.

    Each test starts with no calls. It fails when a refused call was swallowed on its way to the test and not read, when
    a name in the class attributes does not exist, and when a forced `on_commit` effect still waits for the commit.

    The class attributes hold from before `setUpClass` (and so for `setUpTestData`) until after `tearDownClass`. Those
    of a base class hold too; the closest class wins, name by name.

    Attributes:
        side_effects: the calls of the running test.
        force_run: effects to execute, as decorated functions, names or globs.
        record: effects to record.
        forbid: effects to refuse.
        stub: effects to record, with what the call returns or raises.
    """

    side_effects: Calls
    force_run: ClassVar[Sequence[object]] = ()
    record: ClassVar[Sequence[object]] = ()
    forbid: ClassVar[Sequence[object]] = ()
    stub: ClassVar[Mapping[Any, object]] = {}

    _is_asked_by_plugin = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        case = getattr(sys.modules.get("unittest.case"), "TestCase", None)
        order = cls.__mro__
        if case in order and order.index(case) < order.index(SideEffectsMixin):
            raise TypeError(
                f"{cls.__qualname__}: SideEffectsMixin must stand before the test case: "
                f"class {cls.__name__}(SideEffectsMixin, TestCase)"
            )

    @classmethod
    def setUpClass(cls) -> None:
        """Put the class attributes into force, before anything else is set up."""
        collect_own_children()
        watch = Watch()
        watch.enter(_levels(cls))
        cls.addClassCleanup(watch.finish)
        super().setUpClass()

    def run(self, result: Any = None) -> Any:
        """Run the test, from no calls on."""
        watch = self._begin()
        try:
            return super().run(result)
        finally:
            watch.finish()

    def debug(self) -> None:
        """Run the test without collecting its result."""
        watch = self._begin()
        try:
            super().debug()
        finally:
            watch.finish()

    def leave_asking_to_plugin(self) -> None:
        """Under pytest the plugin asks what the test has to answer for, once."""
        self._is_asked_by_plugin = True

    def _begin(self) -> Watch:
        watch = Watch()
        self.side_effects = watch.calls
        if self._is_asked_by_plugin:
            return watch

        def check() -> None:
            complaints = "" if has_failed(self) else watch.complaints(lambda: files_of_class(type(self)))
            if complaints:
                raise self.failureException(complaints)

        # Before the test's own cleanups, so that it runs after them; and before Django rolls back.
        self.addCleanup(check)
        return watch


def has_failed(case: Case) -> bool:
    """Whether a running test has failed, or was skipped, already: then nothing is put on top of it."""
    outcome = getattr(case, "_outcome", None)
    return outcome is not None and not outcome.success


def _levels(kind: type) -> list[Level]:
    """What a class and its bases say, the closest last."""
    levels = []
    for base in reversed(kind.__mro__):
        options = {option: vars(base)[option] for option in OPTIONS if option in vars(base)}
        if options and base is not SideEffectsMixin:
            levels.append(level(options, f"class {base.__qualname__}", f"{base.__module__}.{base.__qualname__}"))
    return levels
