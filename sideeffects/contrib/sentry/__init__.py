"""Reports to Sentry."""

__all__: list[str] = []
