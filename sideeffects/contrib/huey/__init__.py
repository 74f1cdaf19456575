"""Huey's tasks as effects."""

__all__: list[str] = []
