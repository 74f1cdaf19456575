"""Finding the effects of modules that nothing has imported yet.

Modules of the project that declare effects, and only those, are imported; which they are is told from their source.
While they are imported every effect is recorded, whatever else is in force: finding effects executes none.
"""

from __future__ import annotations

import contextvars
import importlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from sideeffects._core.calls import registry
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.records.ledger import Ledger
from sideeffects._core.state import threads
from sideeffects._core.state.state import state
from sideeffects._core.verbs import declare
from sideeffects.project import live_settings

logger: Final = logging.getLogger("sideeffects")


class Failure(NamedTuple):
    """A module that may declare effects and could not be looked at.

    Attributes:
        module: its name; for a `declare` that found nothing, the target.
        error: what went wrong.
        path: its file, if known.
    """

    module: str
    error: BaseException
    path: Path | None = None

    @property
    def is_declared(self) -> bool:
        """Whether it is the target of a `declare` rather than a module of the project."""
        return ":" in self.module

    @property
    def where(self) -> str:
        """`file:line` of what failed: in the module itself, if the error passed through it."""
        if isinstance(self.error, SyntaxError):
            return f"{self.path or self.error.filename}:{self.error.lineno}"
        frames = traceback.extract_tb(self.error.__traceback__)
        own = [frame for frame in frames if self.path is not None and frame.filename == str(self.path)]
        if own:
            return f"{own[-1].filename}:{own[-1].lineno}"
        return str(self.path or "")

    def __str__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}"
        if self.is_declared:
            return f"{self.module} is declared and cannot be found: {said}"
        place = f" ({self.where})" if self.where else ""
        return f"{self.module} could not be imported: {said}{place}"


class _Plan:
    """What is to be imported, found once per process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.modules: dict[str, Path] | None = None
        self.unreadable: tuple[Failure, ...] = ()


_plan: Final = _Plan()
_is_running: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("sideeffects_discovering", default=False)
_NOT_READY: Final = "Django's apps are not loaded yet, so modules that nothing has imported were not looked at."


def notes() -> list[str]:
    """Discover, and say what could not be looked at."""
    with suppress(Exception):  # what is wrong with the settings is said by calls, and by the checks
        live_settings.offer_own_effects()
    if not _is_ready():
        return [_NOT_READY] if _has_settings() else []
    return [str(failure) for failure in discover()]


def discover() -> tuple[Failure, ...]:
    """Import the project's modules that declare effects, and those of `declare` targets, if not done yet.

    Without Django, while its apps are not loaded, or inside an isolated registry, nothing is looked for.

    Returns:
        what could not be imported or parsed.

    Raises:
        ImproperlyConfigured: the settings are invalid.
    """
    if not _may_look():
        return ()
    live_settings.current_rules()
    modules = _modules()
    failures = list(_plan.unreadable)
    with recording() as ledger:
        for name in _not_imported(modules):
            before = ledger.end
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever its code raises is reported
                failures.append(Failure(name, error, modules[name]))
            _warn_of_calls(name, ledger, before)
    return (*failures, *find_declared())


def find_declared() -> tuple[Failure, ...]:
    """Import the modules of `declare` targets, if not done yet.

    Returns:
        the targets that are not there, or whose module could not be imported.
    """
    failures = []
    if _may_look():
        with recording():
            for target in declare.waiting():
                try:
                    declare.find(target)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                    failures.append(Failure(target, error))
    return tuple(failures)


def _may_look() -> bool:
    return _is_ready() and not _is_running.get() and not registry.store.isolations


def _has_settings() -> bool:
    django_conf = sys.modules.get("django.conf")
    return django_conf is not None and bool(django_conf.settings.configured)


def _is_ready() -> bool:
    django_apps = sys.modules.get("django.apps")
    return django_apps is not None and bool(django_apps.apps.ready)


def _modules() -> dict[str, Path]:
    """The project's modules that declare effects. Nothing is imported here, so the lock waits for no import."""
    with _plan.lock:
        if _plan.modules is None:
            from django.apps import apps
            from django.conf import settings

            from sideeffects.project.discovery.files import module_files
            from sideeffects.project.discovery.source import Survey

            files = module_files(settings, apps)
            survey = Survey(files)
            _plan.unreadable = tuple(Failure(name, error, files[name]) for name, error in survey.unreadable.items())
            _plan.modules = {name: files[name] for name in survey.declaring}
        return _plan.modules


def _not_imported(modules: dict[str, Path]) -> list[str]:
    """Those that are not imported, under another name either (`__main__`, say)."""
    waiting = [name for name in modules if name not in sys.modules]
    if not waiting:
        return []
    imported = {
        os.path.realpath(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
    }
    return [name for name in waiting if os.path.realpath(modules[name]) not in imported]


@contextmanager
def recording() -> Generator[Ledger]:
    """Record every effect, in this context and in the threads started from it, above all other overrides.

    Yields:
        the calls.
    """
    threads.install()
    ledger = Ledger()
    decision = Decision(Mode.RECORD, "its module is being imported to find its effects", "discovery")
    entry = OverrideEntry((OverrideRule(registry.EVERYTHING, decision),), "discovery", context_only=True, foremost=True)
    leave = state.overrides.enter(entry)
    stop = state.watch(ledger)
    token = _is_running.set(True)
    try:
        yield ledger
    finally:
        _is_running.reset(token)
        stop()
        leave()


def _warn_of_calls(module: str, ledger: Ledger, start: int) -> None:
    """A module that calls an effect while it is imported has got what a recorded call returns."""
    for call in ledger.read(start)[0]:
        logger.warning(
            "%s called the side effect %s while it was imported to find its effects (at %s): it was recorded, not "
            "executed. Call effects in functions, not while a module is imported",
            module,
            call.name,
            call.caller,
        )
