"""The guard where tests run without pytest: under `unittest`, Django's runner, in programs that are told of a test run.

It listens as soon as the settings can say whether it is on, and from the start of a runner at the latest. What is found
is printed after the runner's own summary. What a baseline does not accept fails the run, by a failing test of our own.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

from sideeffects._core.state import import_hooks
from sideeffects._core.state.extension_points import rules_changed
from sideeffects.guard import at_test_end, baseline as baselines, call_sites, hook, levels, report
from sideeffects.guard.run import GuardRun, listen_when_on, look_at_level

_FALSE: Final = frozenset(("", "0", "false", "no", "off"))
_begun: list[_Session] = []

#: unittest leaves the frames of such modules out of its tracebacks.
__unittest = True


def begin(are_settings_read: Callable[[], bool]) -> None:
    """Begin the run of `unittest`, of Django's runner, or of whatever else this process turned out to be."""
    if _begun:
        return
    session = _Session()
    _begun.append(session)
    if _are_settings_awaited(are_settings_read):
        rules_changed.add(look_at_level)  # a hook cannot be taken away again
    else:
        listen_when_on()
    hook.listeners.refused = at_test_end.ask_running_test
    import_hooks.after_import("unittest.runner", session.follow)
    import_hooks.after_import("django.test.runner", session.follow_django)
    atexit.register(session.print_at_exit)


def _are_settings_awaited(are_settings_read: Callable[[], bool]) -> bool:
    """Whether settings will be read that have not been yet: until then nobody knows whether the guard is on."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is not None and settings.configured:
        return not are_settings_read()
    return bool(os.environ.get("DJANGO_SETTINGS_MODULE")) and find_spec("django") is not None


class _Session:
    """The run, and what is printed of it: once, after the outermost runner, or at the end of the process."""

    def __init__(self) -> None:
        self._run = GuardRun(call_sites.root.folder)
        self._pid = os.getpid()
        self._depth = 0
        self._printed: set[tuple[Any, ...]] = set()
        self._is_updating = (os.environ.get(baselines.UPDATE_VARIABLE) or "").lower() not in _FALSE
        #: Whether all tests of the project run, as far as the command line tells.
        self._is_whole = False

    # -- what is followed

    def follow(self, module: Any) -> None:
        """Report after each `TextTestRunner.run` that is not inside another."""
        module.TextTestRunner.run = self._followed(module.TextTestRunner.run)

    def _followed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run(runner: Any, *args: Any, **kwargs: Any) -> Any:
            if self._depth or os.getpid() != self._pid or not getattr(runner, "side_effects_test_run", True):
                return original(runner, *args, **kwargs)
            self.start()
            make = runner._makeResult  # noqa: SLF001 - what subclasses override as well
            runner._makeResult = lambda: self._ending(make())  # noqa: SLF001
            self._depth += 1
            try:
                return original(runner, *args, **kwargs)
            except BaseException:
                self._is_whole = False
                raise
            finally:
                self._depth -= 1
                del runner._makeResult  # noqa: SLF001
                self._report(getattr(runner, "stream", sys.stderr))

        return run

    def follow_django(self, module: Any) -> None:
        """See which tests Django's runner is told to run, and begin before it makes databases."""
        original = module.DiscoverRunner.run_tests

        @functools.wraps(original)
        def run_tests(runner: Any, test_labels: Any, *args: Any, **kwargs: Any) -> Any:
            self._is_whole = not (
                test_labels or runner.tags or runner.exclude_tags or runner.test_name_patterns or runner.failfast
            )
            try:
                self.start()
            except baselines.BaselineError as error:
                from django.core.management import CommandError

                raise CommandError(str(error)) from None
            return original(runner, test_labels, *args, **kwargs)

        module.DiscoverRunner.run_tests = run_tests

    def start(self) -> None:
        """The tests are about to run: the settings are there by now, or there are none.

        Raises:
            BaselineError: the baseline that they name cannot be used.
        """
        look_at_level()
        path = levels.rules().baseline
        if not path:
            if self._is_updating:
                reason = f'{baselines.UPDATE_VARIABLE} is set, and SIDE_EFFECTS["GUARD"]["BASELINE"] names no file'
                raise baselines.BaselineError("to update", reason)
        elif self._run.accepted is None or self._run.accepted.path != path:
            self._run.accept(self._loaded(path))
            levels.in_force.when_changed()

    def _loaded(self, path: str) -> baselines.Baseline:
        try:
            return baselines.load(path)
        except baselines.BaselineError:
            if self._is_updating:
                return baselines.Baseline(path, frozenset())
            raise

    # -- what comes of it

    def _ending(self, result: Any) -> Any:
        """When the tests of a runner are over, and before it sums up: what is not in the baseline fails."""
        stop = getattr(result, "stopTestRun", None)

        def stop_test_run() -> None:
            self._is_whole = self._is_whole and not getattr(result, "shouldStop", False)
            if self._run.accepted is not None and not self._is_updating and self._run.new():
                _fail(result, self._run.accepted.path)
            if stop is not None:
                stop()

        result.stopTestRun = stop_test_run
        return result

    def _report(self, stream: Any) -> None:
        """After a runner: what was found, or what the baseline is now."""
        accepted = self._run.accepted
        if accepted is not None and self._is_updating:
            _write(stream, report.TITLE, [self._run.update(is_whole=self._is_whole)])
        self._print(stream)
        stale = self._run.stale() if self._is_whole else ()
        if stale and accepted is not None:
            _write(stream, report.STALE_TITLE, report.stale_words(accepted.path, stale))

    def print_at_exit(self) -> None:
        """What has not been printed by then."""
        if sys.stderr is not None and os.getpid() == self._pid:
            self._print(sys.stderr)

    def _print(self, stream: Any) -> None:
        fresh = [noted for noted in self._run.new() if noted.finding.key not in self._printed]
        self._printed |= {noted.finding.key for noted in fresh}
        for title, lines in report.sections(fresh, is_new=self._run.accepted is not None):
            _write(stream, title, lines)


def _write(stream: Any, title: str, lines: Sequence[str]) -> None:
    stream.write("\n".join(["", title.capitalize(), "-" * 70, *lines, "", ""]))
    stream.flush()


def _fail(result: Any, path: str) -> None:
    """Have a test of our own fail: every kind of result can show that, and counts it."""
    from unittest import FunctionTestCase

    class Verdict(FunctionTestCase):
        def __str__(self) -> str:
            return report.TITLE

    def undeclared() -> None:
        raise AssertionError(f"this run found what {path} does not accept; it is listed below")

    Verdict(undeclared).run(result)
