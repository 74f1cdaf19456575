"""Finding the effects of modules that nothing has imported yet.

Their names are read from the source (`read`); that is all that a request or an open test asks for. Commands, and the
start of a test run, import the modules as well (`discover`): those of installed apps, and those that these import.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from sideeffects._core.calls import registry
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import NOTHING_FOUND, Found
from sideeffects._core.verbs import declare
from sideeffects.project import live_settings
from sideeffects.project.discovery.deadline import BOUND, Deadline, TookTooLong
from sideeffects.project.discovery.looking import Attempt, Look, is_looking, looking, recording
from sideeffects.project.discovery.names import ReadNames


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
        if isinstance(self.error, OSError) and not self.error.__traceback__:
            return f"{self.module} could not be read: {said}{place}"
        return f"{self.module} could not be imported: {said}{place}"


class Plan(NamedTuple):
    """What the project's source says.

    Attributes:
        modules: the modules that declare effects, with their files.
        names: what each of them declares, as far as its source shows it.
        importable: those that may be imported.
        unreadable: modules that cannot be read or parsed.
        unread: modules that nobody had the time to look at.
    """

    modules: Mapping[str, Path]
    names: Mapping[str, ReadNames]
    importable: frozenset[str]
    unreadable: tuple[Failure, ...] = ()
    unread: tuple[str, ...] = ()


class Discovered(NamedTuple):
    """What came of importing.

    Attributes:
        failures: what could not be imported or parsed.
        attempts: what modules tried to do while they were imported.
        unread: modules that nobody had the time to look at.
    """

    failures: tuple[Failure, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    unread: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """What may be missing, a sentence each."""
        return [*map(str, self.failures), *_unread_words(self.unread)]


_NOTHING: Final = Plan({}, {}, frozenset())
#: How many modules a message names.
_MOST: Final = 10
_NOT_READY: Final = "Django's apps are not loaded yet, so modules that nothing has imported were not looked at."


class _Known:
    """The plan, made once per process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.plan: Plan | None = None


_known: Final = _Known()


def look() -> Found:
    """What an unknown name may mean: the effects of modules that nothing has imported. Nothing is imported here."""
    with suppress(Exception):  # what is wrong with the settings is said by calls, and by the checks
        live_settings.offer_own_effects()
    if not _is_ready():
        return Found({}, [_NOT_READY], _load) if _has_settings() else NOTHING_FOUND
    if not _may_look():
        return NOTHING_FOUND
    plan = _read()
    notes = [str(failure) for failure in plan.unreadable]
    notes += [
        f"{name} declares effects under names that its source does not show, and has not been imported "
        f"({plan.modules[name]}): import it, or write the name as a string"
        for name in _not_imported(plan.modules)
        if not plan.names[name].is_complete
    ]
    return Found(
        {effect.name: effect for effect in not_imported_effects()}, [*notes, *_unread_words(plan.unread)], _load
    )


def not_imported_effects() -> list[SideEffect]:
    """The effects of modules that have not been imported, as their source shows them, by name."""
    if not _may_look():
        return []
    plan = _read()
    found = {effect.name: effect for name in _not_imported(plan.modules) for effect in plan.names[name].effects}
    for target in declare.waiting():
        name = declare.declarations.get(target, (None, {}))[0] or target.replace(":", ".")
        found.setdefault(name, SideEffect(name, target, "function", "", 0, None, ""))
    return [found[name] for name in sorted(found) if name not in registry.registry]


def unclear_modules() -> list[str]:
    """Modules that have not been imported and declare effects under names that their source does not show."""
    plan = _read() if _may_look() else _NOTHING
    return [name for name in _not_imported(plan.modules) if not plan.names[name].is_complete]


def discover(seconds: float | None = None) -> Discovered:
    """Import the modules that declare effects and may be imported, and those of `declare` targets, if not done yet.

    Without Django, while its apps are not loaded, or inside an isolated registry, nothing is looked for.

    Args:
        seconds: how long it may take as a whole; `BOUND` if not given.

    Raises:
        ImproperlyConfigured: the settings are invalid.
    """
    if not _may_look():
        return Discovered()
    live_settings.current_rules()
    deadline = Deadline(BOUND if seconds is None else seconds)
    plan = _read(deadline)
    failures = list(plan.unreadable)
    names = [name for name in _not_imported(plan.modules) if name in plan.importable]
    if not names and not declare.waiting():
        return Discovered(tuple(failures), (), plan.unread)
    with looking() as here:
        done = _import_all(names, plan.modules, deadline, here, failures)
        failures += _find_declared(here)
    return Discovered(tuple(failures), tuple(here.attempts), (*plan.unread, *names[done:]))


def find_declared() -> tuple[Failure, ...]:
    """Import the modules of `declare` targets, if not done yet.

    Returns:
        the targets that are not there, or whose module could not be imported.
    """
    if not _may_look() or not declare.waiting():
        return ()
    with looking() as here:
        return tuple(_find_declared(here))


def _import_all(
    names: list[str], files: Mapping[str, Path], deadline: Deadline, here: Look, failures: list[Failure]
) -> int:
    """Import these. Returns how many have been looked at when time was over."""
    for position, name in enumerate(names):
        if deadline.is_over:
            return position
        with here.of(name, files[name]):
            try:
                with deadline.stopping():
                    importlib.import_module(name)
            except (Exception, SystemExit, TookTooLong) as error:  # noqa: BLE001 - whatever its code raises is reported
                failures.append(Failure(name, error, files[name]))
    return len(names)


def _find_declared(here: Look) -> Iterable[Failure]:
    for target in declare.waiting():
        with here.of(target.partition(":")[0]):
            try:
                declare.find(target)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                yield Failure(target, error)


def _load(name: str) -> None:
    """Import what declares an effect that is to run: the module whose source names it, else all that may name it.

    What they do while they are imported is done, but for effects: the process is to go on with them.
    """
    if not _may_look():
        return
    plan = _read()
    names = _not_imported(plan.modules)
    named = [one for one in names if any(effect.name == name for effect in plan.names[one].effects)]
    with recording():
        for one in named or [one for one in names if one in plan.importable and not plan.names[one].is_complete]:
            with suppress(Exception):  # whatever runs it later says that it is not there
                importlib.import_module(one)
        for target in declare.waiting():
            with suppress(Exception):
                declare.find(target)


def _may_look() -> bool:
    return _is_ready() and not is_looking() and not registry.store.isolations


def _has_settings() -> bool:
    django_conf = sys.modules.get("django.conf")
    return django_conf is not None and bool(django_conf.settings.configured)


def _is_ready() -> bool:
    django_apps = sys.modules.get("django.apps")
    return django_apps is not None and bool(django_apps.apps.ready)


def _read(deadline: Deadline | None = None) -> Plan:
    """What the source says, read once. Nothing is imported here, so the lock waits for no import."""
    with _known.lock:
        if _known.plan is None:
            _known.plan = _made(deadline or Deadline(BOUND))
        return _known.plan


def _made(deadline: Deadline) -> Plan:
    from django.apps import apps
    from django.conf import settings

    from sideeffects.project.discovery.files import module_files
    from sideeffects.project.discovery.membership import importable
    from sideeffects.project.discovery.names import names_of
    from sideeffects.project.discovery.survey import Survey

    files = module_files(settings, apps)
    survey = Survey(files, deadline)
    modules = {name: files[name] for name in survey.declaring}
    names = {
        name: names_of(module, files[name], survey) for name in modules if (module := survey.module(name)) is not None
    }
    may = importable(modules, survey, apps)
    unreadable = tuple(Failure(name, error, files[name]) for name, error in survey.unreadable.items())
    return Plan(modules, names, may, unreadable, survey.unread)


def _not_imported(modules: Mapping[str, Path]) -> list[str]:
    """Those that are not imported, under another name either (`__main__`, say)."""
    waiting = [name for name in modules if name not in sys.modules]
    if not waiting:
        return []
    imported = {
        os.path.realpath(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
    }
    return [name for name in waiting if os.path.realpath(modules[name]) not in imported]


def _unread_words(unread: tuple[str, ...]) -> list[str]:
    if not unread:
        return []
    more = len(unread) - _MOST
    shown = ", ".join(unread[:_MOST]) + (f" and {more} more" if more > 0 else "")
    return [f"looking for effects was stopped after {BOUND:g} s; not looked at: {shown}"]
