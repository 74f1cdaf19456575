"""The apps in which probes are looked for, and those that `SMOKETEST_SKIP_APPS` leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any, Final

from django.apps import AppConfig, apps
from django.conf import settings

from sideeffects._core.values.close_names import did_you_mean

MODULES: Final = ("smoke", "probes")
_OURSELVES: Final = "sideeffects"


def installed() -> list[AppConfig]:
    """The installed apps, without this one, as `INSTALLED_APPS` has them now."""
    listed = list(settings.INSTALLED_APPS)
    every = [app for app in apps.get_app_configs() if app.name != _OURSELVES]
    if all(app.name in listed or _class_path(app) in listed for app in every):
        return every
    names = {AppConfig.create(entry).name for entry in listed}
    return [app for app in every if app.name in names]


def apps_looked_at() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the settings say of it: `INSTALLED_APPS`, and `SMOKETEST_SKIP_APPS`."""
    return tuple(settings.INSTALLED_APPS), skipped_apps()


def modules_of(app: AppConfig) -> list[str]:
    """The dotted names of an app's modules with probes. None of them is imported."""
    if not hasattr(app.module, "__path__"):
        return []
    return [full for full in (f"{app.name}.{name}" for name in MODULES) if find_spec(full) is not None]


# -- those that are left out


def skipped_apps() -> tuple[str, ...]:
    """What `SMOKETEST_SKIP_APPS` names."""
    value: Any = getattr(settings, "SMOKETEST_SKIP_APPS", None) or ()
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def names_of(app: AppConfig) -> set[str]:
    """The names by which an app may be left out."""
    return {app.label, app.name, _class_path(app)}


def unknown_skipped_apps() -> Iterator[str]:
    """What `SMOKETEST_SKIP_APPS` names and is no installed app, a sentence each."""
    known = sorted({name for app in apps.get_app_configs() for name in names_of(app)})
    for name in skipped_apps():
        if name not in known:
            yield f"SMOKETEST_SKIP_APPS: no installed app is called {name!r}{did_you_mean(name, known)}"


def _class_path(app: AppConfig) -> str:
    return f"{type(app).__module__}.{type(app).__qualname__}"
