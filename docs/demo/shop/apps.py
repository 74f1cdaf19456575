"""The shop as a Django app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Connects the signals when Django starts."""

    name = "shop"

    def ready(self) -> None:
        """Importing the receivers connects them."""
        from shop import signals  # noqa: F401 - models are there only now
