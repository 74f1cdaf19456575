"""The Django app: it registers the system checks, and reads the settings once."""

from django.apps import AppConfig
from django.core import checks as django_checks

from sideeffects.outbox.checks import check_outbox
from sideeffects.project import checks, live_settings


class SideEffectsConfig(AppConfig):
    """Wires `sideeffects` into a project."""

    name = "sideeffects"
    label = "sideeffects"
    verbose_name = "Side effects"  # type: ignore[mutable-override]

    def ready(self) -> None:
        """Register the checks, and declare what the settings list.

        Raises:
            Exception: the settings are wrong, and this is a test run; otherwise the checks show it.
        """
        django_checks.register(checks.check_settings, checks.TAG)
        django_checks.register(check_outbox, checks.TAG)
        django_checks.register(checks.check_modules, checks.TAG, deploy=True)
        live_settings.read_at_start()
