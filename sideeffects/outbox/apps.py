"""The Django app of the outbox."""

from django.apps import AppConfig

from sideeffects._core.state import extension_points


class OutboxConfig(AppConfig):
    """Keeps held calls in the database."""

    name = "sideeffects.outbox"
    label = "sideeffects_outbox"
    verbose_name = "Side effects"  # type: ignore[mutable-override]
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let held calls be kept here and executed by workers, and calls ask what is paused. Nothing is read yet."""
        from sideeffects.outbox import actions, keeping, pause_reader  # whose models are there now

        extension_points.keeper.add(keeping.keeper)
        extension_points.released.add(actions.execute_kept)
        pause_reader.install()
