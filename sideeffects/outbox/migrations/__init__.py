"""Migrations of the outbox."""

__all__: list[str] = []
