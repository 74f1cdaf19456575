"""RQ's jobs as effects."""

__all__: list[str] = []
