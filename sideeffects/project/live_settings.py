"""Settings -> rules. Read when needed; invalid settings raise and never fall back to executing.

This module is imported without Django; what needs Django imports it once Django has settings.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from sideeffects._core.policy.rules import Rules
from sideeffects._core.state import import_hooks
from sideeffects._core.state.extension_points import rules_changed, rules_source
from sideeffects._core.state.state import state
from sideeffects._core.values.copying import snapshot
from sideeffects.errors import SideEffectError

_MISSING: Final = object()

#: Without Django there are no settings. These may change when Django comes, which is noticed (`install`).
_NO_SETTINGS: Final = Rules(settled=True)


class SettingsNotReady(SideEffectError):
    """An effect was called while Django's settings were still being imported: no rule is known, nothing executes."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Known:
    """Rules, with what they were made from: the holder of the settings, and our settings as they were.

    Django's own dicts are kept: a look into them is all that a decision costs as long as nothing has changed, while
    the lazy settings' way to an attribute is written in Python.
    """

    settings: Mapping[str, object]
    wrapped: object
    values: Mapping[str, object]
    own: object
    legacy: object
    given: tuple[object, object]
    copied: tuple[object, object]
    rules: Rules


_NOTHING_KNOWN: Final = _Known({}, _MISSING, {}, _MISSING, _MISSING, (None, None), (None, None), _NO_SETTINGS)


def _dict_of(settings: Any) -> Mapping[str, object]:
    """The dict of the lazy settings themselves, past the attributes of what they wrap."""
    found: Mapping[str, object] = object.__getattribute__(settings, "__dict__")
    return found


class _Cache:
    """The rules last made. They are replaced as one, so that no thread reads half of a change."""

    def __init__(self) -> None:
        self.known = _NOTHING_KNOWN
        self.declared: set[str] = set()
        self.follows = False
        #: The generation in which there was no Django to have settings, nor a variable that names them.
        self.none_in = -1


_cache: Final = _Cache()


def install() -> None:
    """Let decisions read the settings, and notice when Django comes."""
    rules_source.add(current_rules)
    import_hooks.after_import("django.conf", _forget)
    import_hooks.after_import("django.apps.registry", _hook_apps)
    read_at_start()


def read_at_start() -> None:
    """Read the settings if Django has them, so that what they declare is declared before it is used.

    What is wrong with them is raised by every call of an effect and shown by the system checks: starting up, and so
    showing it, must not fail on it. In a test run it does: what a wrong `DECLARE` fails to declare would execute.

    Raises:
        Exception: the settings are wrong, and this is a test run.
    """
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return
    try:
        current_rules()
    except Exception:
        if state.test_run.is_on():
            raise


def _hook_apps(registry: Any) -> None:
    """Before Django imports the first app: a module of it may call, or take hold of, what the settings declare."""
    original = registry.Apps.populate

    @functools.wraps(original)
    def populate(self: Any, installed_apps: Any = None) -> None:
        read_at_start()
        original(self, installed_apps)

    registry.Apps.populate = populate


def current_rules() -> Rules:
    """The rules that hold now.

    Raises:
        ImproperlyConfigured: the settings are invalid.
        SettingsNotReady: they are being imported at this moment.
    """
    known = _cache.known
    if (
        # The holder itself: Django has no public way to tell one from the next.
        known.settings.get("_wrapped") is known.wrapped
        and known.values.get("SIDE_EFFECTS", _MISSING) is known.own
        and known.values.get("FORCE_RUN_SIDE_EFFECTS", _MISSING) is known.legacy
        # What they hold may have been changed in its place.
        and (known.given is known.copied or known.given == known.copied)
    ):
        return known.rules
    if "django.conf" not in sys.modules:
        # Django's arrival, and a variable that is set, are noticed: both begin a new generation.
        generation = state.switches.generation
        if _cache.none_in == generation:
            return _NO_SETTINGS
        if not os.environ.get("DJANGO_SETTINGS_MODULE") or find_spec("django") is None:
            _cache.none_in = generation
            return _NO_SETTINGS
    # Also where it is there: another thread may be in the middle of importing it, and this waits for that.
    return _load(importlib.import_module("django.conf").settings)


def _held(own: Mapping[str, object]) -> tuple[object, object]:
    """Our settings as they stand in the innermost holder: `override_settings` puts a new holder on top."""
    return own.get("SIDE_EFFECTS", _MISSING), own.get("FORCE_RUN_SIDE_EFFECTS", _MISSING)


def _load(settings: Any) -> Rules:
    if not settings.configured:
        name = os.environ.get("DJANGO_SETTINGS_MODULE")
        if not name:
            return _UNCONFIGURED
        if _is_being_imported(name):
            importlib.import_module(name)  # which waits, where another thread imports it
        if _is_being_imported(name):
            raise SettingsNotReady(
                f"a side effect was called while the settings module {name} was being imported; nothing was executed. "
                f"Call it later, for example in AppConfig.ready()"
            )
        getattr(settings, "SIDE_EFFECTS", None)  # imports them
    from sideeffects.settings.rules import rules_from  # without settings there is nothing to check

    # All of it from one holder: settings that change meanwhile have another, and are then read again.
    wrapped = settings._wrapped  # noqa: SLF001 - the holder itself: Django has no public way to tell one from the next
    values = vars(wrapped)
    held = _held(values)
    given = raw, legacy = getattr(wrapped, "SIDE_EFFECTS", None), getattr(wrapped, "FORCE_RUN_SIDE_EFFECTS", None)
    copied = given if raw is legacy is None else (snapshot(raw, "", {}, []), snapshot(legacy, "", {}, []))
    with state.lock:
        undeclared = apply_declarations(raw)
    # Read here only: `override_settings` brings another holder, so that the hot path above has two values to compare.
    rules = rules_from(raw, legacy, getattr(wrapped, "SAFERUNNER_USE_SENTRY", None))
    if undeclared:
        raise undeclared[0]
    with state.lock:
        _follow_changes()
        _cache.known = _Known(_dict_of(settings), wrapped, values, *held, given, copied, rules)
        for tell in rules_changed:
            tell(rules)
    return rules


def _is_being_imported(name: str) -> bool:
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


#: Django is there and has no settings yet: they may come without notice, so nothing may rely on these.
_UNCONFIGURED: Final = Rules()


def _follow_changes() -> None:
    if not _cache.follows:
        _cache.follows = True
        from django.core.signals import setting_changed

        setting_changed.connect(_changed, dispatch_uid="sideeffects")


def _forget(_: object = None) -> None:
    _cache.known = _NOTHING_KNOWN
    state.switches.disturb()


def _changed(**_: Any) -> None:
    _cache.known = _NOTHING_KNOWN
    with state.lock:
        for tell in rules_changed:
            tell(None)


def sentry() -> Any:
    """What reports to Sentry, if that is switched on or its SDK is there; else `None`.

    Raises:
        ImproperlyConfigured: the settings are invalid.
    """
    if "sentry_sdk" not in sys.modules and not current_rules().use_sentry:
        return None
    return importlib.import_module("sideeffects.contrib.sentry.reporting")


def offer_own_effects() -> None:
    """Let the effects of ours that are in use be in the registry, an isolated one as well."""
    reporting = sentry()
    if reporting is not None:
        reporting.offer()


def apply_declarations(raw: Any) -> list[Exception]:
    """Declare what `SIDE_EFFECTS["DECLARE"]` lists, each once: all that can be, whatever is wrong with others.

    Returns:
        what went wrong with those that are well-formed.
    """
    from sideeffects._core.verbs.declare import declare  # most settings declare nothing
    from sideeffects.settings.rules import declarations

    value = raw.get("DECLARE") if isinstance(raw, Mapping) else None
    failures: list[Exception] = []
    for target in value if isinstance(value, Mapping | list | tuple) else ():
        if isinstance(target, str) and target not in _cache.declared:
            with contextlib.suppress(TypeError):  # it is no declaration, and `rules_from` says so
                options = declarations({target: value[target]} if isinstance(value, Mapping) else [target])[0][1]
                try:
                    declare(target, **options)
                except Exception as error:  # noqa: BLE001 - the others are declared all the same
                    failures.append(error)
                else:
                    _cache.declared.add(target)
    return failures
