"""The Django app of the outbox."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Keeps held calls in the database."""

    name = "sideeffects.outbox"
    label = "sideeffects_outbox"
    verbose_name = "Side effects"  # type: ignore[mutable-override]
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let calls ask what is paused. Nothing is read before the first call."""
        from sideeffects.outbox import pause_reader

        pause_reader.install()
