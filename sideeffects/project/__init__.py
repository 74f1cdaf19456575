"""Django's side: live settings, wiring, checks, discovery."""

__all__: list[str] = []
