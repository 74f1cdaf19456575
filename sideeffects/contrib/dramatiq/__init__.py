"""Dramatiq's actors as effects."""

__all__: list[str] = []
