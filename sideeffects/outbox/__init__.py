"""The outbox: held calls are kept as rows, looked at, and released later. An optional app for `INSTALLED_APPS`."""

__all__: list[str] = []
