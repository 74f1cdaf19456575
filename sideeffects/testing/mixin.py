"""`SideEffectsMixin`: the calls of a test, its four class attributes, and what it has to answer for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sideeffects._core.records.reading import Calls
from sideeffects._core.state.state import state
from sideeffects._core.verbs.overrides import Override
from sideeffects.errors import SideEffectError
from sideeffects.guard.at_test_end import files_of_class
from sideeffects.testing.markers import OPTIONS, Level, level
from sideeffects.testing.one_test import WatchedTest, swallowed

if TYPE_CHECKING:
    from unittest import TestCase as Case
else:  # it comes before the test case among the bases, so that unittest does not have to be imported for it
    Case = object

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True


class SideEffectsMixin(Case):
    """For `unittest` and Django test cases: `class OrderTests(SideEffectsMixin, TestCase)`.

    Each test starts with no calls. It fails when a refused call was swallowed on its way to the test and not read, when
    a name in the class attributes does not exist, and when a forced `on_commit` effect still waits for the commit.

    The class attributes hold from before `setUpClass` (and so for `setUpTestData`) until after `tearDownClass`. Those
    of a base class hold too. If several classes name one effect, the closest decides.

    Attributes:
        side_effects: the calls of the running test.
        force_run: effects to execute, as decorated functions, names or globs.
        record: effects to record.
        forbid: effects to refuse.
        stub: effects to record, with what the call returns or raises; or a list of `stub(...)`. Each test begins with
            the first answer of `in_turn`, and only its own calls count for `times`.

    Example:
        >>> class WelcomeTests(SideEffectsMixin, unittest.TestCase):
        ...     stub = {"sms.send": OSError("gateway down")}
        ...
        ...     def test_a_dead_gateway_is_no_error(self):
        ...         welcome("+44 20 7946 0000")
        ...         self.side_effects.assert_called("sms.send", times=1)
    """

    side_effects: Calls
    force_run: ClassVar[Sequence[object]] = ()
    record: ClassVar[Sequence[object]] = ()
    forbid: ClassVar[Sequence[object]] = ()
    stub: ClassVar[Mapping[Any, object] | Sequence[Override]] = {}

    _is_asked_by_plugin = False
    #: While the class is set up, its tests run and it is torn down: its attributes are in force.
    _class_watch: ClassVar[WatchedTest | None] = None

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
        watch = WatchedTest()
        watch.enter(_levels(cls))
        cls._class_watch = watch

        def leave() -> None:
            complaints = swallowed(watch.read()[0], lambda: files_of_class(cls))
            watch.finish()
            del cls._class_watch
            if complaints:
                raise AssertionError(f"in setUpClass or tearDownClass of {cls.__qualname__}: {complaints}")

        cls.addClassCleanup(leave)
        super().setUpClass()

    def run(self, result: Any = None) -> Any:
        """Run the test, which starts with no calls."""
        watch = self._begin()
        try:
            return super().run(result)
        finally:
            self._end(watch)

    def debug(self) -> None:
        """Run the test without collecting its result."""
        watch = self._begin()
        try:
            super().debug()
        finally:
            self._end(watch)

    def leave_asking_to_plugin(self) -> None:
        """Leave the checks at the end of the test to the pytest plugin, so that they run once."""
        self._is_asked_by_plugin = True

    def _begin(self) -> WatchedTest:
        state.children.collect()
        state.sync()
        watch = WatchedTest()
        self.side_effects = watch.calls
        around = vars(type(self)).get("_class_watch")
        if around is not None:
            around.pause()
            around.count_anew()
        else:
            # A `setUpClass` that calls no `super()`, or none at all: `TestCase.debug()`.
            try:
                watch.enter(_levels(type(self)))
            except (SideEffectError, TypeError) as error:
                self.setUp = _raising(error)  # type: ignore[method-assign]
        ask_at_end(self, lambda: self._complain(watch, around))
        return watch

    def _end(self, watch: WatchedTest) -> None:
        watch.finish()
        around = vars(type(self)).get("_class_watch")
        if around is not None:
            around.go_on()
        for shadowing in ("doCleanups", "setUp"):
            vars(self).pop(shadowing, None)

    def _complain(self, watch: WatchedTest, around: WatchedTest | None) -> None:
        # The plugin does not know what the class attributes say of stubs.
        own = watch.unmet() if self._is_asked_by_plugin else watch.complaints(lambda: files_of_class(type(self)))
        complaints = "\n\n".join(filter(None, (own, "" if around is None else around.unmet())))
        if complaints:
            raise self.failureException(complaints)


def _raising(error: Exception) -> Callable[[], None]:
    def set_up() -> None:
        raise error

    return set_up


def ask_at_end(case: Case, ask: Callable[[], None]) -> None:
    """Call `ask` after the test's own cleanups, and before Django rolls back, unless the test has failed already.

    Args:
        case: an instance that is about to run.
        ask: fails the test by raising.
    """
    has_failed: list[bool] = []
    do_cleanups = case.doCleanups

    def look_and_do_cleanups() -> Any:
        # While a cleanup runs, the outcome tells of that cleanup alone. A skipped test has no success either.
        outcome = getattr(case, "_outcome", None)
        if outcome is not None:
            has_failed.append(not outcome.success or outcome.expectedFailure is not None)
        return do_cleanups()

    def ask_unless_it_failed() -> None:
        if not any(has_failed):
            ask()

    case.doCleanups = look_and_do_cleanups  # type: ignore[method-assign]
    case.addCleanup(ask_unless_it_failed)


def _levels(kind: type) -> list[Level]:
    """What a class and its bases say, the closest last."""
    levels = []
    for base in reversed(kind.__mro__):
        options = {option: vars(base)[option] for option in OPTIONS if option in vars(base)}
        if options and base is not SideEffectsMixin:
            levels.append(level(options, f"class {base.__qualname__}", f"{base.__module__}.{base.__qualname__}"))
    return levels
