"""The Django app: it registers the system checks, and reads the settings once."""

import contextlib

from django.apps import AppConfig
from django.core import checks as django_checks

from sideeffects import checks, conf


class SideEffectsConfig(AppConfig):
    """Wires `sideeffects` into a project."""

    name = "sideeffects"
    label = "sideeffects"
    verbose_name = "Side effects"  # type: ignore[mutable-override]

    def ready(self) -> None:
        """Register the checks, and declare what the settings list.

        Settings that are wrong are shown by the checks, and every call of an effect raises; starting up is not what
        they break.
        """
        django_checks.register(checks.check_settings, checks.TAG)
        django_checks.register(checks.check_modules, checks.TAG, deploy=True)
        with contextlib.suppress(Exception):
            conf.current_rules()
