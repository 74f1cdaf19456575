"""Django's settings, as they are in force in the test, in its racers.

The fork server reads the settings as the test process did; where it reads others, it takes those of the test process.
What has changed since travels with each race: what `override_settings` and pytest-django's `settings` have set, and
what was assigned. Databases travel on their own (`_databases.py`).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import Mapping
from typing import Any, Final

from sideeffects.testing.races.errors import CannotTravel
from sideeffects.testing.races.messages import packed

#: What the setup of a test environment assigns, in the fork server as in the test process, and what travels elsewhere.
_ELSEWHERE: Final = frozenset(("DATABASES",))

#: The settings that were handed to `settings.configure`: they have no module to be read from.
Configured = dict[str, Any]


def django_settings() -> Any:
    """Django's settings where there are any; `None` otherwise."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE") and "django.conf" not in sys.modules:
        return None
    from django.conf import settings

    return settings if settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE") else None


def _layers(settings: Any) -> tuple[list[Any], Any]:
    """The holders that overrides have put on top, the innermost first, and what they stand on."""
    from django.conf import UserSettingsHolder

    if not settings.configured:
        settings.DEBUG  # noqa: B018 - reads them
    layers: list[Any] = []
    holder = settings._wrapped  # noqa: SLF001 - Django has no public way to tell what was overridden
    while isinstance(holder, UserSettingsHolder):
        layers.append(holder)
        holder = holder.default_settings
    if getattr(holder, "SETTINGS_MODULE", None) is None and layers:
        return layers[:-1], layers[-1]
    return layers, holder


def base(settings: Any) -> tuple[str, Configured | None]:
    """What the fork server starts from: the settings' module, or else what they were configured with."""
    bottom = _layers(settings)[1]
    module = getattr(bottom, "SETTINGS_MODULE", None)
    if module is not None:
        return module, None
    return "", _own(bottom)


def as_read(settings: Any) -> dict[str, bytes | None]:
    """The settings as this process has read them from their module: that may ask what runs (`"test" in sys.argv`).

    What plain pickle does not take is `None`: the fork server's own reading has to do.
    """
    bottom = _layers(settings)[1]
    module = sys.modules.get(getattr(bottom, "SETTINGS_MODULE", None) or "")
    found: dict[str, bytes | None] = {}
    for name, value in ({} if module is None else vars(module)).items():
        if name.isupper():
            try:
                found[name] = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            except Exception:  # noqa: BLE001 - pickling runs any code of the value's
                found[name] = None
    return found


def read_alike(settings: Any, read: Mapping[str, bytes | None]) -> None:
    """In the fork server: make its settings those that the test process has read, before anything uses them."""
    from django.conf import global_settings

    missing = object()
    own = sys.modules[settings.SETTINGS_MODULE]
    for name, data in read.items():
        with contextlib.suppress(Exception):  # as above
            value = missing if data is None else pickle.loads(data)  # noqa: S301 - from our own test process
            if value is not missing and not _same(getattr(own, name, missing), value):
                setattr(settings, name, value)
    for name in [name for name in vars(own) if name.isupper() and name not in read]:
        if hasattr(global_settings, name):
            setattr(settings, name, getattr(global_settings, name))
        else:
            delattr(settings, name)


def _own(holder: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(holder).items() if name.isupper() and name != "SETTINGS_MODULE"}


def changes(settings: Any, started_from: Configured | None) -> tuple[dict[str, Any], set[str]]:
    """What differs from what the fork server started from: values by name, and names that were deleted."""
    layers, bottom = _layers(settings)
    changed: dict[str, Any] = {}
    deleted: set[str] = set()
    if started_from is None:
        module = sys.modules.get(bottom.SETTINGS_MODULE)
        from django.conf import global_settings

        missing = object()
        # Django fills it from the module, else from the global settings, with the very objects.
        changed = {
            name: value
            for name, value in _own(bottom).items()
            if value is not getattr(module, name, getattr(global_settings, name, missing))
        }
    else:
        current = _own(bottom)
        changed |= {name: value for name, value in current.items() if started_from.get(name, changed) is not value}
        deleted |= started_from.keys() - current.keys()
    for layer in reversed(layers):
        gone = layer._deleted  # noqa: SLF001 - as above
        own = _own(layer)
        deleted = (deleted | gone) - own.keys()
        changed = {name: value for name, value in (changed | own).items() if name not in gone or name in own}
    return {name: value for name, value in changed.items() if name not in _ELSEWHERE}, deleted


def packed_values(values: Mapping[str, Any]) -> bytes:
    """Settings as bytes.

    Raises:
        CannotTravel: the message names the setting.
    """
    try:
        return packed(dict(values), "the settings")
    except CannotTravel:
        for name, value in values.items():
            packed(value, f"the setting {name}")
        raise


def apply(changed: bytes, deleted: set[str]) -> None:
    """Put what differs into force, in a process that ends with the race. Receivers of `setting_changed` hear of it."""
    from django.conf import settings
    from django.test.utils import override_settings

    missing = object()
    values: dict[str, Any] = pickle.loads(changed)  # noqa: S301 - from our own test process
    different = {name: value for name, value in values.items() if not _same(getattr(settings, name, missing), value)}
    gone = [name for name in deleted if hasattr(settings, name)]
    if different:
        override_settings(**different).enable()
    for name in gone:
        delattr(settings, name)


def _same(here: Any, there: Any) -> bool:
    try:
        return type(here) is type(there) and bool(here == there)
    except Exception:  # noqa: BLE001 - a value that cannot be compared counts as changed
        return False
